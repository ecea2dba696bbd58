//! `/settings`: tokens, variables, secrets, and how to point a webhook here.

use maud::{Markup, html};
use model::Timestamp;
use scheduler::environment::{self, Environment};
use store::record::{Repository, Scope, Token, Variable};

use super::format;
use super::layout::csrf;
use super::runs::encoded;
use super::viewer::{Role, Viewer};
use crate::settings::word;

/// A secret, as far as anybody ever sees it again.
pub(super) struct SecretName {
    pub(super) name: String,
    pub(super) updated_at: Timestamp,
}

/// What the page shows.
pub(super) struct View<'a> {
    pub(super) tokens: &'a [Token],
    pub(super) repositories: &'a [Repository],
    /// Whose secrets and variables are shown.
    pub(super) scope: &'a Scope,
    pub(super) secrets: &'a [SecretName],
    pub(super) variables: &'a [Variable],
    /// The environments with rules of the repository that is shown, or of the one whose environment is.
    pub(super) environments: &'a [Environment],
    /// Where this server is reached from outside.
    pub(super) address: Option<&'a str>,
    pub(super) viewer: &'a Viewer,
    pub(super) now: Timestamp,
}

/// The page.
pub(super) fn render(view: &View<'_>) -> Markup {
    html! {
        div.head { h1 { "Settings" } }
        (webhook(view.address))
        @if view.viewer.role >= Role::Admin {
            (scope(view))
            (environments(view))
            (secrets(view))
            (variables(view))
            (tokens(view))
        } @else {
            p.dim { "Secrets, variables, and tokens are for the role admin; yours is " (view.viewer.role) "." }
        }
    }
}

fn webhook(address: Option<&str>) -> Markup {
    let address = format!("{}/webhook", address.unwrap_or("https://<this server>").trim_end_matches('/'));
    html! {
        section id="webhook" {
            h2 { "Webhook" }
            p { "In the repository's or organisation's settings on GitHub, under Webhooks, add one with:" }
            dl.facts {
                dt { "Payload URL" } dd { code { (address) } }
                dt { "Content type" } dd { code { "application/json" } }
                dt { "Secret" } dd { "the one that this server was given in its configuration" }
                dt { "Events" } dd { "everything, or those that your workflows listen to" }
            }
            p { "What arrives, and what comes of it, is under " a href="/deliveries" { "Deliveries" } "." }
        }
    }
}

fn scope(view: &View<'_>) -> Markup {
    let word = word(view.scope);
    let mut known: Vec<&str> = Vec::new();
    for repository in view.repositories {
        let name = repository.facts.full_name.as_str();
        let owner = name.split('/').next().unwrap_or(name);
        known.extend([owner, name]);
    }
    known.sort_unstable();
    known.dedup();
    html! {
        section id="scope" {
            h2 { "Secrets and variables" }
            form.filters method="get" action="/settings" {
                label {
                    span { "Of" }
                    input name="scope" value=(word) list="scopes" data-search autocomplete="off";
                }
                datalist id="scopes" { @for name in &known { option value=(name) {} } }
                button { "Show" }
                span.dim { "owner, owner/name, or owner/name@environment" }
            }
        }
    }
}

/// The environments of a repository, or the rules of the one that is shown.
fn environments(view: &View<'_>) -> Markup {
    match view.scope {
        Scope::Organisation(_) => html! {},
        Scope::Repository(repository) => html! {
            section id="environments" {
                h3 { "Environments of " (repository) }
                @if view.environments.is_empty() { p.dim { "None has rules. Show " (repository) "@NAME to give some to the environment NAME." } }
                ul.names {
                    @for environment in view.environments {
                        @let scope = format!("{repository}@{}", environment.name);
                        li data-environment=(environment.name) {
                            a href={ "/settings?scope=" (encoded(&scope)) } { (environment.name) }
                        }
                    }
                }
            }
        },
        Scope::Environment(_, name) => {
            let known = environment::named(view.environments, name).cloned().unwrap_or_default();
            rules(&known, view)
        }
    }
}

fn rules(known: &Environment, view: &View<'_>) -> Markup {
    let list = |title: &str, name: &str, entries: &[String], hint: &str| {
        html! { label { span { (title) } input name=(name) value=(entries.join(", ")) placeholder=(hint) autocomplete="off"; } }
    };
    html! {
        section id="rules" {
            h3 { "Who is let into " (word(view.scope)) }
            form.filters method="post" action="/settings/set-environment" {
                (csrf(view.viewer))
                input type="hidden" name="scope" value=(word(view.scope));
                label { span { "Approval" } input type="checkbox" name="approval" checked[known.approval]; }
                (list("Reviewers", "reviewers", &known.reviewers, "all who may operate"))
                label {
                    span { "Not by who caused the run" }
                    input type="checkbox" name="prevent_self_review" checked[known.prevent_self_review];
                }
                label {
                    span { "Wait, in minutes" }
                    input type="number" name="wait_minutes" min="0" max=(environment::LONGEST_WAIT_MINUTES) value=(known.wait_minutes);
                }
                (list("Branches", "branches", &known.branches, "all, if no tags either"))
                (list("Tags", "tags", &known.tags, "all, if no branches either"))
                button { "Set" }
            }
        }
    }
}

fn secrets(view: &View<'_>) -> Markup {
    html! {
        section id="secrets" {
            h3 { "Secrets of " (word(view.scope)) }
            @if view.secrets.is_empty() { p.dim { "None." } }
            ul.names {
                @for secret in view.secrets {
                    li data-secret=(secret.name) {
                        code { (secret.name) } " " span.dim { "set " (format::ago(secret.updated_at, view.now)) } " "
                        (removal("remove-secret", ("secret", &secret.name), "Jobs get nothing in its place, and nobody can read it any more.", view))
                    }
                }
            }
            form.filters method="post" action="/settings/set-secret" {
                (csrf(view.viewer))
                input type="hidden" name="scope" value=(word(view.scope));
                label { span { "Name" } input name="name" required autocomplete="off" spellcheck="false"; }
                label { span { "Value" } textarea name="value" required rows="1" autocomplete="off" spellcheck="false" {} }
                button { "Set" }
                span.dim { "Nobody can read it here again." }
            }
        }
    }
}

fn variables(view: &View<'_>) -> Markup {
    html! {
        section id="variables" {
            h3 { "Variables of " (word(view.scope)) }
            @if view.variables.is_empty() { p.dim { "None." } }
            ul.names {
                @for variable in view.variables {
                    li data-variable=(variable.name) {
                        code { (variable.name) } " = " code { (variable.value) } " "
                        (removal("remove-variable", ("variable", &variable.name), "Jobs get nothing in its place.", view))
                    }
                }
            }
            form.filters method="post" action="/settings/set-variable" {
                (csrf(view.viewer))
                input type="hidden" name="scope" value=(word(view.scope));
                label { span { "Name" } input name="name" required autocomplete="off" spellcheck="false"; }
                label { span { "Value" } input name="value" autocomplete="off"; }
                button { "Set" }
            }
        }
    }
}

/// Removes something at the second press: what goes does not come back. `what` it is, and what comes of it.
fn removal(action: &str, (what, name): (&str, &str), follows: &str, view: &View<'_>) -> Markup {
    html! {
        details.removal {
            summary { "Remove" span.hidden { " " (what) " " (name) } }
            form method="post" action={ "/settings/" (action) } {
                (csrf(view.viewer))
                input type="hidden" name="scope" value=(word(view.scope));
                input type="hidden" name="name" value=(name);
                span { (follows) } " "
                button.cancel { "Remove " (name) }
            }
        }
    }
}

fn tokens(view: &View<'_>) -> Markup {
    html! {
        section id="tokens" {
            h2 { "Tokens" }
            ul.names {
                @for token in view.tokens {
                    li data-token=(token.name) {
                        strong { (token.name) } " " span.label { (token.role) } " "
                        span.dim {
                            "made " (format::ago(token.created_at, view.now))
                            @match token.expires_at {
                                Some(end) if end <= view.now => ", expired",
                                Some(end) => { ", until " (&format::moment(end)[..10]) },
                                None => ", without end",
                            }
                        } " "
                        (removal("revoke-token", ("token", &token.name), "Who uses it is shut out at once.", view))
                    }
                }
            }
            form.filters method="post" action="/settings/make-token" {
                (csrf(view.viewer))
                label { span { "Name" } input name="name" required autocomplete="off"; }
                label {
                    span { "Role" }
                    select name="role" { @for role in Role::ALL { option value=(role) { (role) } } }
                }
                label { span { "Days" } input name="days" type="number" min="1" max="3650" value="90"; }
                button { "Make" }
            }
        }
    }
}

/// A token that was just made: seen once.
pub(super) fn made(name: &str, secret: &str) -> Markup {
    html! {
        div.head { h1 { "Token " (name) } }
        p { "Keep it now: it is not shown again." }
        pre.secret id="token" { (secret) }
        p { a href="/settings#tokens" { "Back to the settings" } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn secrets_are_for_admins_and_their_values_for_nobody() {
        let view = |viewer| {
            let secrets = [SecretName { name: "NPM_TOKEN".to_owned(), updated_at: Timestamp(0) }];
            let view = View {
                tokens: &[],
                repositories: &[sample::repository()],
                scope: &Scope::Repository("octo/hello".to_owned()),
                secrets: &secrets,
                variables: &[],
                environments: &[],
                address: Some("https://ci.example.org/"),
                viewer: &viewer,
                now: Timestamp(9),
            };
            render(&view).into_string()
        };
        let admin = view(sample::viewer(Role::Admin));
        assert!(admin.contains("NPM_TOKEN") && admin.contains("https://ci.example.org/webhook"), "{admin}");
        let operator = view(sample::viewer(Role::Operate));
        assert!(!operator.contains("NPM_TOKEN") && operator.contains("/webhook"), "{operator}");
    }
}
