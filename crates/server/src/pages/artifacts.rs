//! Lists of artifacts, on the pages of a run and of a repository.

use maud::{Markup, html};
use store::record::Artifact;

use super::format;

/// Characters of a moment that are its day.
const DAY: usize = 10;

/// The section; nothing where there are none. `of_many`: of many runs, each of which has a link.
pub(super) fn section(artifacts: &[Artifact], of_many: bool) -> Markup {
    html! {
        @if !artifacts.is_empty() {
            section aria-label="Artifacts" {
                h2 { "Artifacts " @if !of_many { span.dim { (artifacts.len()) } } }
                ul.artifacts { @for artifact in artifacts { (row(artifact, of_many)) } }
            }
        }
    }
}

fn row(artifact: &Artifact, of_many: bool) -> Markup {
    let what = &artifact.what;
    let end = format::moment(what.expires_at);
    html! {
        li {
            a href={ "/api/v1/runs/" (what.run) "/artifacts/" (what.number) } download { (what.name) } " "
            span.dim {
                (format::size(what.size)) ", until " (&end[..DAY])
                @if of_many { " · " a href={ "/runs/" (what.run) } { "run " (what.run) } }
            }
        }
    }
}
