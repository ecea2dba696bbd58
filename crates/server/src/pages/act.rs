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
use store::Change;
use store::record::{Scope, Variable};

use super::asked::{Number, Path};
use super::error::PageError;
use super::layout::{Page, document};
use super::run::actions::Action;
use super::settings as settings_page;
use super::viewer::{Role, Viewer};
use super::{Pages, runs};
use crate::auth::Principal;
use crate::control::{Again, Decision, Review};
use crate::redeliver;
use crate::settings::{self, VALUE_BYTES};

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
    Path((Number(run), action)): Path<(Number, String)>,
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
    Path((Number(run), Number(job), action)): Path<(Number, Number, String)>,
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
    Path(Number(delivery)): Path<Number>,
    headers: HeaderMap,
    Form(form): Form<Plain>,
) -> Result<Redirect, PageError> {
    allow(&principal, &headers, &form.csrf, Role::Operate)?;
    let again = redeliver::redeliver(pages.store(), DeliveryId(delivery), Timestamp::now()).await?;
    let again = again.ok_or(PageError::Missing("delivery"))??;
    pages.parts.control.nudge();
    Ok(Redirect::to(&format!("/deliveries/{again}")))
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
    /// There when it is ticked.
    #[serde(default)]
    prevent_self_review: Option<String>,
    #[serde(default)]
    wait_minutes: String,
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
    if what == "make-token" {
        return Ok(make_token(&pages, &viewer, &form).await?.into_response());
    }
    if what == "set-environment" {
        set_environment(&pages, &form).await?;
        let scope = runs::encoded(&form.scope);
        return Ok(Redirect::to(&format!("/settings?scope={scope}#rules")).into_response());
    }
    if what == "revoke-token" {
        settings::revoke_token(pages.store(), &form.name).await?;
        return Ok(Redirect::to("/settings#tokens").into_response());
    }
    let (change, part) = change(&pages, &what, &form).await?;
    pages.store().apply(vec![change]).await?;
    let scope = runs::encoded(&form.scope);
    Ok(Redirect::to(&format!("/settings?scope={scope}#{part}")).into_response())
}

/// What a form changes, and which part of the page shows it.
async fn change(pages: &Pages, what: &str, form: &Settings) -> Result<(Change, &'static str), PageError> {
    let at = Timestamp::now();
    let scope = settings::kept_in(pages.store(), &form.scope).await?;
    let name = settings::name(&form.name)?;
    if form.value.len() > VALUE_BYTES {
        return Err(PageError::Invalid(format!("a value has at most {} KiB", VALUE_BYTES / 1024)));
    }
    Ok(match what {
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
    let Scope::Environment(place, environment) = settings::kept_in(pages.store(), &form.scope).await? else {
        return Err(PageError::Invalid("rules are for an environment: owner/name@environment".to_owned()));
    };
    let list = |text: &str| {
        let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(str::to_owned).collect::<Vec<_>>()
    };
    let wait_minutes = match form.wait_minutes.trim() {
        "" => 0,
        minutes => {
            minutes.parse().map_err(|_| PageError::Invalid("the wait is a number of minutes".to_owned()))?
        }
    };
    let rules = Environment {
        name: environment,
        approval: form.approval.is_some(),
        reviewers: list(&form.reviewers),
        prevent_self_review: form.prevent_self_review.is_some(),
        wait_minutes,
        branches: list(&form.branches),
        tags: list(&form.tags),
    };
    rules.check().map_err(PageError::Invalid)?;
    Ok(pages.store().apply(vec![environment::set(&place, &rules)]).await?)
}

async fn make_token(pages: &Pages, viewer: &Viewer, form: &Settings) -> Result<Markup, PageError> {
    let role = Role::ALL.into_iter().find(|role| role.as_str() == form.role);
    let role = role.ok_or_else(|| PageError::Invalid("there is no such role".to_owned()))?;
    let days = match form.days.trim() {
        "" => None,
        days => Some(days.parse().map_err(|_| PageError::Invalid("days are a number".to_owned()))?),
    };
    let (secret, record) = settings::make_token(pages.store(), &form.name, role, days).await?;
    let body = settings_page::made(&record.name, &secret);
    let page = Page { title: "Token", part: "/settings", state: None, live: None, has_log: false, body };
    Ok(document(&page, Some(viewer), Timestamp::now()))
}
