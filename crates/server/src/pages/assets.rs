//! The style sheet and the scripts: in the binary, each under an address that changes with its bytes.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// Bytes of the hash that are in the address: enough that no two versions ever meet.
const HASH_BYTES: usize = 8;

/// A file that pages ask for.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Where it is found.
    pub(super) address: String,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
        let hash = Sha256::digest(bytes);
        let hash: String = hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Asset { name, kind, bytes, address: format!("/assets/{hash}/{name}") }
    }
}

macro_rules! asset {
    ($(#[$doc:meta])* $asset:ident, $name:literal, $kind:literal) => {
        $(#[$doc])*
        pub(super) static $asset: LazyLock<Asset> =
            LazyLock::new(|| Asset::new($name, $kind, include_bytes!(concat!("../../assets/", $name))));
    };
}

asset!(
    /// How everything looks.
    STYLE, "hearth.css", "text/css; charset=utf-8"
);
asset!(
    /// Light or dark, before anything is painted.
    THEME, "theme.js", "text/javascript; charset=utf-8"
);
asset!(
    /// What keeps a page true, and the keyboard.
    SCRIPT, "hearth.js", "text/javascript; charset=utf-8"
);
asset!(
    /// Shows a log of any length.
    LOG, "log.js", "text/javascript; charset=utf-8"
);
asset!(
    /// The sign of the tab.
    ICON, "hearth.svg", "image/svg+xml"
);
asset!(
    /// The sign of the tab of something that went well.
    ICON_GOOD, "hearth-good.svg", "image/svg+xml"
);
asset!(
    /// The sign of the tab of something that failed.
    ICON_BAD, "hearth-bad.svg", "image/svg+xml"
);
asset!(
    /// The sign of the tab of something that goes on, or waits.
    ICON_BUSY, "hearth-busy.svg", "image/svg+xml"
);

/// `GET /favicon.ico`: where browsers look of what names no sign of its own, such as a log as text.
pub(super) async fn icon() -> Response {
    let headers = [(header::CONTENT_TYPE, ICON.kind), (header::CACHE_CONTROL, "public, max-age=86400")];
    (headers, ICON.bytes).into_response()
}

/// `GET /assets/{hash}/{name}`
pub(super) async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let all = [&STYLE, &THEME, &SCRIPT, &LOG, &ICON, &ICON_GOOD, &ICON_BAD, &ICON_BUSY];
    let wanted = format!("/assets/{hash}/{name}");
    match all.iter().find(|asset| asset.address == wanted) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.bytes,
        )
            .into_response(),
        None => {
            let is_old = all.iter().any(|asset| asset.name == name);
            let status = if is_old { StatusCode::GONE } else { StatusCode::NOT_FOUND };
            (status, "this page is of another version of Hearth: load it again").into_response()
        }
    }
}
