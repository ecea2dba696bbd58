//! `/repositories`, and one of them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use model::{RepositoryId, Timestamp};
use store::record::{Artifact, Repository, Run};

use super::artifacts;
use super::badge;
use super::format;
use super::layout::nothing;
use super::runs::{encoded, row};

/// All repositories with the latest run of each.
pub(super) fn list(
    repositories: &[Repository],
    latest: &BTreeMap<RepositoryId, Run>,
    now: Timestamp,
) -> Markup {
    html! {
        div.head { h1 { "Repositories" } }
        @if repositories.is_empty() {
            (nothing("No repository is known yet.", &html! {
                "Each appears with its first webhook: " a href="/settings#webhook" { "how to point one here" } "."
            }))
        }
        ol.runs id="repositories" data-swap {
            @for repository in repositories {
                @let name = &repository.facts.full_name;
                li.run data-item data-repository=(name) {
                    @match latest.get(&repository.id) {
                        Some(run) => (badge::sign(badge::of_run(run.what.state, run.conclusion))),
                        None => (badge::sign("queued")),
                    }
                    div.what {
                        a.title href={ "/repositories/" (encoded(name)) } { (name) }
                        @if repository.facts.is_private { " " span.label { "private" } }
                        div.sub {
                            @match latest.get(&repository.id) {
                                Some(run) => { "latest: " a href={ "/runs/" (run.id) } { (run.what.title) } },
                                None => "no run yet",
                            }
                        }
                    }
                    div.where { span.branch { (repository.facts.default_branch) } }
                    div.when { @if let Some(run) = latest.get(&repository.id) { (format::ago(run.created_at, now)) } }
                }
            }
        }
    }
}

/// One repository: its workflows with how their latest runs ended, its runs, and what these have left.
pub(super) fn one(repository: &Repository, runs: &[Run], left: &[Artifact], now: Timestamp) -> Markup {
    let facts = &repository.facts;
    html! {
        nav.crumbs aria-label="Where this is" { a data-up href="/repositories" { "Repositories" } }
        div.head { h1 { (facts.full_name) } }
        p.sub {
            "default branch " span.branch { (facts.default_branch) }
            @if facts.is_private { " · private" }
            @if let Some(page) = page(facts.clone_url.as_str()) { " · " a rel="noopener noreferrer" href=(page) { "on its forge" } }
            " · known since " (format::ago(repository.first_seen, now))
        }
        h2 { "Workflows" }
        ul.workflows { @for (path, of_it) in workflows(runs) { (workflow(facts.full_name.as_str(), path, &of_it)) } }
        h2 { "Runs" }
        div id="runs" data-swap {
            @if runs.is_empty() { (nothing("Nothing has run here yet.", &html! {})) }
            ol.runs { @for run in runs { (row(run, None, now)) } }
        }
        div id="artifacts" data-swap { (artifacts::section(left, true)) }
        p { a href={ "/?repository=" (encoded(&facts.full_name)) } { "All runs, with filters" } }
    }
}

/// Runs by workflow file, newest first.
fn workflows(runs: &[Run]) -> BTreeMap<&str, Vec<&Run>> {
    let mut workflows: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        workflows.entry(&run.what.workflow_path).or_default().push(run);
    }
    workflows
}

/// Runs whose signs stand beside a workflow: as many as an eye takes in.
const SIGNS: usize = 12;

fn workflow(repository: &str, path: &str, runs: &[&Run]) -> Markup {
    let name = runs.first().map_or(path, |run| run.what.workflow_name.as_str());
    html! {
        li {
            a href={ "/?repository=" (encoded(repository)) "&workflow=" (encoded(path)) } { (name) }
            " " code.dim { (path) } " "
            span.row-of-signs aria-label="latest runs, newest last" {
                @for run in runs.iter().take(SIGNS).rev() {
                    a href={ "/runs/" (run.id) } title={ "#" (run.number) " " (run.what.title) } {
                        (badge::sign(badge::of_run(run.what.state, run.conclusion)))
                    }
                }
            }
        }
    }
}

/// Where people see a repository, by where git finds it.
pub(super) fn page(clone_url: &str) -> Option<&str> {
    let is_web = ["https://", "http://"].iter().any(|scheme| clone_url.starts_with(scheme));
    // An address with a name and a password in it is not for pages.
    let host = clone_url.split('/').nth(2).unwrap_or_default();
    let page = clone_url.strip_suffix(".git").unwrap_or(clone_url);
    (is_web && !host.contains('@')).then_some(page)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_repository_shows_its_workflows_and_how_they_ended() {
        let page = one(&sample::repository(), &[sample::run()], &[], Timestamp(99_000)).into_string();
        for part in [
            "octo/hello",
            "https://github.com/octo/hello",
            "CI",
            ".github/workflows/ci.yml",
            "aria-label=\"success\"",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn an_address_with_a_password_or_of_a_file_is_no_link() {
        assert_eq!(page("https://github.com/a/b.git"), Some("https://github.com/a/b"));
        assert_eq!(page("https://token@github.com/a/b.git"), None);
        assert_eq!(page("file:///srv/b.git"), None);
        assert_eq!(page("javascript://x/alert"), None);
    }
}
