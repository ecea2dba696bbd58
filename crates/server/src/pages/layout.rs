//! What every page has around it.

use maud::{DOCTYPE, Markup, html};
use model::Timestamp;

use super::assets::{Asset, ICON, ICON_BAD, ICON_BUSY, ICON_GOOD, LOG, SCRIPT, STYLE, THEME};
use super::badge::{Word, glyph};
use super::viewer::{Role, Viewer};

/// A page, but for what is around it.
pub(super) struct Page<'a> {
    /// Of the tab and the history.
    pub(super) title: &'a str,
    /// The part of the site that it belongs to, as in [`PARTS`].
    pub(super) part: &'a str,
    /// How what it is about stands: people see that on the tab.
    pub(super) state: Option<Word>,
    /// Where its changes are told, if they are.
    pub(super) live: Option<String>,
    /// Whether it shows a log.
    pub(super) has_log: bool,
    /// What it shows.
    pub(super) body: Markup,
}

/// Parts of the site: address, name, key of the keyboard after `g`, and who sees them.
const PARTS: [(&str, &str, char, Role); 6] = [
    ("/", "Runs", 'r', Role::Read),
    ("/repositories", "Repositories", 'p', Role::Read),
    ("/queue", "Queue", 'q', Role::Read),
    ("/machines", "Machines", 'm', Role::Read),
    ("/deliveries", "Deliveries", 'd', Role::Read),
    ("/settings", "Settings", 's', Role::Read),
];

/// Keys beside those of the parts.
const KEYS: [(&str, &str); 7] = [
    ("j / k", "next, previous"),
    ("Enter", "open"),
    ("/", "search or filter"),
    ("u", "up: from a job to its run, from a run to all"),
    ("f", "first error"),
    ("t", "light or dark"),
    ("?", "this list"),
];

/// The whole document.
pub(super) fn document(page: &Page<'_>, viewer: Option<&Viewer>, now: Timestamp) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { @if let Some(state) = page.state { (glyph(state)) " " } (page.title) " · Hearth" }
                link rel="icon" type="image/svg+xml" href=(icon(page.state).address);
                link rel="stylesheet" href=(STYLE.address);
                script src=(THEME.address) {}
                script src=(SCRIPT.address) defer {}
                @if page.has_log { script src=(LOG.address) defer {} }
            }
            body data-now=(now) data-live=[page.live.as_deref()] {
                a.skip href="#main" { "To the content" }
                (header(page.part, viewer))
                main id="main" tabindex="-1" { (page.body) }
                (keys())
            }
        }
    }
}

fn icon(state: Option<Word>) -> &'static Asset {
    match state {
        Some("success") => &ICON_GOOD,
        Some("failure") => &ICON_BAD,
        Some("running" | "leasing" | "queued" | "waiting") => &ICON_BUSY,
        _ => &ICON,
    }
}

fn header(part: &str, viewer: Option<&Viewer>) -> Markup {
    let role = viewer.map(|viewer| viewer.role);
    html! {
        header.top {
            a.brand href="/" { img src=(ICON.address) alt="" width="20" height="20"; "Hearth" }
            nav aria-label="Parts" {
                @for (address, name, key, needed) in PARTS {
                    @if role >= Some(needed) {
                        a href=(address) data-key=(key) aria-current=[(address == part).then_some("page")] {
                            (name)
                        }
                    }
                }
            }
            span.live id="live" hidden { "live" }
            button.plain id="theme" type="button" hidden aria-label="Light or dark" { "◐" }
            @match viewer {
                Some(viewer) => (whoever(viewer)),
                None => a.plain href="/sign-in" { "Sign in" },
            }
        }
    }
}

fn whoever(viewer: &Viewer) -> Markup {
    html! {
        @match &viewer.csrf {
            Some(csrf) => form.whoever method="post" action="/sign-out" {
                input type="hidden" name="csrf" value=(csrf);
                span title={ "role " (viewer.role) } { (viewer.name) }
                button.plain { "Sign out" }
            },
            None => a.plain href="/sign-in" { "Sign in" },
        }
    }
}

fn keys() -> Markup {
    html! {
        dialog id="keys" aria-label="Keyboard" {
            h2 { "Keyboard" }
            dl {
                @for (key, meaning) in KEYS { dt { kbd { (key) } } dd { (meaning) } }
                @for (_, name, key, _) in PARTS { dt { kbd { "g " (key) } } dd { (name) } }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// A field that pages of this server know, and no other site.
pub(super) fn csrf(viewer: &Viewer) -> Markup {
    html! { @if let Some(csrf) = &viewer.csrf { input type="hidden" name="csrf" value=(csrf); } }
}

/// A page with nothing to show says why, and what to do.
pub(super) fn nothing(what: &str, hint: &Markup) -> Markup {
    html! { div.nothing { p { strong { (what) } } p { (hint) } } }
}
