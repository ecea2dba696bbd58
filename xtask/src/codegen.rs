//! Generates the Rust side of the guest protocol.
//!
//! The result is committed: whoever builds Hearth needs no protobuf compiler.
//! Generating needs `protoc` (Debian's package `protobuf-compiler`).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What is generated, relative to `crates/guest`.
const GENERATED: &str = "src/wire/hearth.guest.v1.rs";

/// Generates the code, or, with `check`, fails when what is committed differs.
pub(crate) fn run(check: bool) -> Result<()> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/guest");
    let scratch = scratch_folder()?;
    let outcome = generate(&guest, &scratch).and_then(|code| settle(&guest.join(GENERATED), &code, check));
    std::fs::remove_dir_all(&scratch).context("can't remove the scratch folder of codegen")?;
    outcome
}

fn scratch_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("hearth-codegen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}

fn generate(guest: &Path, scratch: &Path) -> Result<String> {
    let proto = guest.join("proto");
    tonic_prost_build::configure()
        .bytes(".")
        .out_dir(scratch)
        .compile_protos(&[proto.join("hearth/guest/v1/guest.proto")], &[proto])
        .context("can't compile guest.proto; is protoc (apt-get install protobuf-compiler) there?")?;
    let generated = scratch.join("hearth.guest.v1.rs");
    std::fs::read_to_string(&generated).with_context(|| format!("can't read {}", generated.display()))
}

fn settle(committed: &Path, code: &str, check: bool) -> Result<()> {
    if !check {
        return std::fs::write(committed, code)
            .with_context(|| format!("can't write {}", committed.display()));
    }
    let found =
        std::fs::read_to_string(committed).with_context(|| format!("can't read {}", committed.display()))?;
    if found != code {
        bail!("{} is not what guest.proto says; run `cargo xtask codegen`", committed.display());
    }
    Ok(())
}
