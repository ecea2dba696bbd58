//! What forms do. Each checks who sends it, that they meant to, and that they may.

use axum::Extension;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use model::{DeliveryId, JobId, RunId, Secret, Timestamp};
use scheduler::environment::{self, Environment};
use scheduler::queue::Subject;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use store::Change;
use store::place;
use store::record::{Scope, Variable};

use super::asked::Path;
use super::error::PageError;
use super::layout::{Page, document};
use super::run::actions::Action;
use super::settings::{self, named, variable_name};
use super::viewer::{Role, Viewer};
use super::{Pages, runs};
use crate::auth::{Principal, token};
use crate::control::{Again, ControlError, Decision, Review};
use crate::redeliver;

/// Longest value of a secret: GitHub's bound
/// (<https://docs.github.com/en/actions/reference/security/secrets#limits-for-secrets>).
const SECRET_BYTES: usize = 48 * 1024;

/// Longest life of a token that the form makes.
const TOKEN_DAYS: u64 = 3650;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A form without anything to say but that it is this server's own.
#[derive(Deserialize)]
pub(super) struct Plain {
    #[serde(default)]
    csrf: String,
}

/// Who sent a form: checked to have meant it, and to be allowed to.
fn allow(principal: &Principal, headers: &HeaderMap, csrf: &str, role: Role) -> Result<(), PageError> {
    principal.may_change(headers, Some(csrf))?;
    Ok(principal.needs(role)?)
}

/// `POST /runs/{run}/{action}`
pub(super) async fn on_run(
    State(pages): State<Pages>,
    Extension(principal): Extension<Principal>,
    Path((run, action)): Path<(u64, String)>,
    headers: HeaderMap,
    Form(form): Form<Plain>,
) -> Result<Response, PageError> {
    allow(&principal, &headers, &form.csrf, Role::Operate)?;
    let (run, control, who) = (RunId(run), &pages.parts.control, principal.name);
    match Action::named(&action).ok_or(PageError::Missing("action"))? {
        Action::Cancel => control.cancel(Subject::Run(run), format!("cancelled by {who}")).await?,
        Action::Approve => control.approve(run, who).await?,
        Action::Rerun => drop(control.again(run, Again::All, who).await?),
        Action::Reject => return Err(PageError::Missing("action")),
        Action::RerunFailed => drop(control.again(run, Again::Failed, who).await?),
    }
    Ok(Redirect::to(&format!("/runs/{run}")).into_response())
}

/// `POST /runs/{run}/jobs/{job}/{action}`
pub(super) async fn on_job(
    State(pages): State<Pages>,
    Extension(principal): Extension<Principal>,
    Path((run, job, action)): Path<(u64, u64, String)>,
    headers: HeaderMap,
    Form(form): Form<Plain>,
) -> Result<Response, PageError> {
    allow(&principal, &headers, &form.csrf, Role::Operate)?;
    let job = pages.store().job(JobId(job)).await?.filter(|job| job.run == RunId(run));
    let job = job.ok_or(PageError::Missing("job"))?;
    let (control, who) = (&pages.parts.control, principal.name);
    match Action::named(&action) {
        Some(Action::Cancel) => {
            control.cancel(Subject::Job(job.id), format!("cancelled by {who}")).await?;
            Ok(Redirect::to(&format!("/runs/{run}/jobs/{}", job.id)).into_response())
        }
        Some(Action::Rerun) => {
            control.again(job.run, Again::Jobs(BTreeSet::from([job.path])), who).await?;
            Ok(Redirect::to(&format!("/runs/{run}")).into_response())
        }
        Some(action @ (Action::Approve | Action::Reject)) => {
            let decision = if action == Action::Approve { Decision::Approve } else { Decision::Reject };
            control.review(job.id, Review { actor: who, decision, comment: None }).await?;
            Ok(Redirect::to(&format!("/runs/{run}")).into_response())
        }
        _ => Err(PageError::Missing("action")),
    }
}

/// `POST /deliveries/{delivery}/again`
pub(super) async fn on_delivery(
    State(pages): State<Pages>,
    Extension(principal): Extension<Principal>,
    Path(delivery): Path<u64>,
    headers: HeaderMap,
    Form(form): Form<Plain>,
) -> Result<Redirect, PageError> {
    allow(&principal, &headers, &form.csrf, Role::Operate)?;
    let again = redeliver::redeliver(pages.store(), DeliveryId(delivery), Timestamp::now()).await?;
    again.ok_or(PageError::Missing("delivery"))??;
    pages.parts.control.nudge();
    Ok(Redirect::to("/deliveries"))
}

/// What forms of the settings send: each its own part.
#[derive(Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    days: String,
    /// There when it is ticked.
    #[serde(default)]
    approval: Option<String>,
    #[serde(default)]
    reviewers: String,
    #[serde(default)]
    branches: String,
    #[serde(default)]
    tags: String,
}

/// `POST /settings/{what}`
pub(super) async fn on_settings(
    State(pages): State<Pages>,
    Extension(principal): Extension<Principal>,
    Extension(viewer): Extension<Viewer>,
    Path(what): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Settings>,
) -> Result<Response, PageError> {
    allow(&principal, &headers, &form.csrf, Role::Admin)?;
    let now = Timestamp::now();
    if what == "make-token" {
        return Ok(make_token(&pages, &viewer, &form, now).await?.into_response());
    }
    if what == "set-environment" {
        set_environment(&pages, &form).await?;
        let scope = runs::encoded(&form.scope);
        return Ok(Redirect::to(&format!("/settings?scope={scope}#rules")).into_response());
    }
    if what == "revoke-token" {
        let tokens = pages.store().tokens().await?;
        token::check_revocable(&tokens, &form.name, now)
            .map_err(|error| ControlError::Unfit(error.to_string()))?;
    }
    let (change, part) = change(&pages, &what, &form, now).await?;
    pages.store().apply(vec![change]).await?;
    let scope = runs::encoded(&form.scope);
    Ok(Redirect::to(&format!("/settings?scope={scope}#{part}")).into_response())
}

/// What a form changes, and which part of the page shows it.
async fn change(
    pages: &Pages,
    what: &str,
    form: &Settings,
    at: Timestamp,
) -> Result<(Change, &'static str), PageError> {
    if what == "revoke-token" {
        return Ok((Change::TokenRevoked { name: form.name.clone() }, "tokens"));
    }
    let scope = named(&form.scope).ok_or_else(|| {
        PageError::Invalid("a scope is owner, owner/name, or owner/name@environment".to_owned())
    })?;
    let kept = place::of(pages.store(), &scope).await?;
    let scope =
        kept.map_err(|renamed| PageError::Invalid(format!("{} is called {renamed} now", form.scope.trim())))?;
    let name = variable_name(&form.name).ok_or_else(|| {
        let rule = "a name has letters, digits, and _, begins with no digit, and not with GITHUB_";
        PageError::Invalid(rule.to_owned())
    })?;
    Ok(match what {
        "set-secret" if form.value.len() > SECRET_BYTES => {
            return Err(PageError::Invalid(format!("a secret has at most {} KiB", SECRET_BYTES / 1024)));
        }
        "set-secret" => {
            let sealed = pages.parts.seal.seal(&scope, &name, &Secret(form.value.clone()))?;
            (Change::SecretSet { scope, name, sealed, at }, "secrets")
        }
        "remove-secret" => (Change::SecretRemoved { scope, name }, "secrets"),
        "set-variable" => {
            let value = form.value.clone();
            (Change::VariableSet(Variable { scope, name, value, updated_at: at }), "variables")
        }
        "remove-variable" => (Change::VariableRemoved { scope, name }, "variables"),
        _ => return Err(PageError::Missing("setting")),
    })
}

async fn set_environment(pages: &Pages, form: &Settings) -> Result<(), PageError> {
    let Some(Scope::Environment(name, environment)) = named(&form.scope) else {
        return Err(PageError::Invalid("rules are for an environment: owner/name@environment".to_owned()));
    };
    let list = |text: &str| {
        let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(str::to_owned).collect::<Vec<_>>()
    };
    let rules = Environment {
        name: environment,
        approval: form.approval.is_some(),
        reviewers: list(&form.reviewers),
        branches: list(&form.branches),
        tags: list(&form.tags),
    };
    rules.check().map_err(PageError::Invalid)?;
    let mut all = pages.store().repositories().await?.into_iter();
    let repository = all.find(|repository| repository.facts.full_name.eq_ignore_ascii_case(&name));
    let repository = repository.ok_or(PageError::Missing("repository"))?;
    Ok(pages.store().apply(vec![environment::set(repository.id, &rules)]).await?)
}

async fn make_token(
    pages: &Pages,
    viewer: &Viewer,
    form: &Settings,
    now: Timestamp,
) -> Result<Markup, PageError> {
    let role = Role::ALL.into_iter().find(|role| role.as_str() == form.role);
    let role = role.ok_or_else(|| PageError::Invalid("there is no such role".to_owned()))?;
    let days: u64 = match form.days.trim() {
        "" => 0,
        days => days.parse().map_err(|_| PageError::Invalid("days are a number".to_owned()))?,
    };
    let end = (days > 0).then(|| now.after(DAY * u32::try_from(days.min(TOKEN_DAYS)).unwrap_or(1)));
    let (secret, record) =
        token::make(&form.name, role, end, now).map_err(|error| PageError::Invalid(error.to_string()))?;
    if pages.store().tokens().await?.iter().any(|token| token.name == record.name) {
        let problem = format!("there is a token {:?} already: revoke it first", record.name);
        return Err(ControlError::Unfit(problem).into());
    }
    let body = settings::made(&record.name, &secret);
    pages.store().apply(vec![Change::TokenMade(record)]).await?;
    let page = Page { title: "Token", part: "/settings", state: None, live: None, has_log: false, body };
    Ok(document(&page, Some(viewer), now))
}
