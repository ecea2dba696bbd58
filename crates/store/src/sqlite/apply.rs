//! Carries changes out. Each transition is checked against [`model::state`] where it is written.

mod job;
mod run;
mod step;

use std::fmt::Display;

use rusqlite::Connection;

use super::fault::Fault;
use super::{access, kept};
use crate::change::Change;
use crate::error::StoreError;
use crate::record::Scope;

/// Carries these out, in order, and says what subscribers hear of them.
pub(super) fn all(connection: &Connection, mut changes: Vec<Change>) -> Result<Vec<Change>, Fault> {
    for change in &mut changes {
        one(connection, change)?;
        if let Change::SecretSet { sealed, .. } = change {
            sealed.clear();
        }
    }
    Ok(changes)
}

fn one(connection: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::RunCreated(run) => Err(StoreError::Failed {
            operation: format!("apply the making of run {}", run.id),
            reason: "runs are made by `expand` and `create_run`".to_owned(),
        }
        .into()),
        Change::RunNamed { run, title, group, cancels_group, queues_all } => {
            run::named(connection, *run, title, group.as_deref(), (*cancels_group, *queues_all))
        }
        Change::RunQueued { run } => run::queued(connection, *run),
        Change::RunStarted { run, plan, at } => run::started(connection, *run, plan, *at),
        Change::RunHeld { run, reason } => run::held(connection, *run, reason),
        Change::RunResumed { run } => run::resumed(connection, *run),
        Change::RunCancelled { run, reason } => run::cancelled(connection, *run, reason),
        Change::RunEnded { run, conclusion, reason, at } => {
            run::ended(connection, *run, *conclusion, reason.as_deref(), *at)
        }
        Change::AttemptQueued { run, attempt, actor, again, at } => {
            run::queued_again(connection, *run, *attempt, actor, again, *at)
        }
        Change::Fulfilled { delivery, reason, at } => {
            super::delivery::fulfilled(connection, *delivery, reason, *at)
        }
        Change::Announced { run, attempt, state } => run::announced(connection, *run, *attempt, *state),
        Change::Reported { run, sent } => run::reported(connection, *run, sent),
        Change::JobCreated(job) => job::created(connection, job),
        Change::JobDelayed { job, until, reason } => job::delayed(connection, *job, *until, reason),
        Change::JobQueued { job, at } => job::queued(connection, *job, *at),
        Change::JobLeasing { job, at } => job::leasing(connection, *job, *at),
        Change::JobStarted { job, machine, at } => job::started(connection, *job, machine, *at),
        Change::JobSpoke { job, at } => job::spoke(connection, *job, *at),
        Change::JobRequeued { job, reason, requeue, at } => {
            job::requeued(connection, *job, reason, *requeue, *at)
        }
        Change::JobEnded { job, result, reason, at } => {
            job::ended(connection, *job, result, reason.as_deref(), *at)
        }
        Change::Annotated { job, annotation } => job::annotated(connection, *job, annotation),
        Change::StepStarted(step) => step::started(connection, step),
        Change::StepEnded { job, step, outcome, conclusion, at } => {
            step::ended(connection, *job, *step, (*outcome, *conclusion), *at)
        }
        Change::Summary { job, step, markdown } => step::summary(connection, *job, *step, markdown),
        change => beside_runs(connection, change),
    }
}

/// What has nothing to do with runs.
fn beside_runs(connection: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::VariableSet(variable) => access::set_variable(connection, variable),
        Change::VariableRemoved { scope, name } => {
            let removed = access::remove_variable(connection, scope, name)?;
            must_be_there(removed, || format!("variable {name} of {}", place(scope)))
        }
        Change::SecretSet { scope, name, sealed, at } => {
            access::set_secret(connection, scope, name, sealed, *at)
        }
        Change::SecretRemoved { scope, name } => {
            let removed = access::remove_secret(connection, scope, name)?;
            must_be_there(removed, || format!("secret {name} of {}", place(scope)))
        }
        Change::TokenMade(token) => {
            if access::has_token(connection, &token.name)? {
                return Err(illegal(format!("token {}", token.name), "there already", "made"));
            }
            access::make_token(connection, token)
        }
        Change::TokenRevoked { name } => {
            let removed = access::revoke_token(connection, name)?;
            must_be_there(removed, || format!("token {name}"))
        }
        Change::Setting { key, value } => access::set(connection, key, value),
        Change::ArtifactKept(artifact) => kept::keep_artifact(connection, artifact),
        Change::ArtifactGone { run, number } => kept::forget_artifact(connection, *run, *number),
        Change::CacheKept(cache) => kept::keep_cache(connection, cache),
        Change::CacheUsed { file, at } => kept::use_cache(connection, file, *at),
        Change::CacheGone { file } => kept::forget_cache(connection, file),
        // All others are carried out by the caller.
        _ => Ok(()),
    }
}

fn place(scope: &Scope) -> String {
    match scope {
        Scope::Organisation(place) | Scope::Repository(place) => place.clone(),
        Scope::Environment(place, environment) => format!("environment {environment} of {place}"),
    }
}

fn must_be_there(is_there: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if is_there { Ok(()) } else { Err(missing(what())) }
}

fn missing(what: String) -> Fault {
    StoreError::Missing(what).into()
}

fn illegal(what: String, now: impl Display, next: impl Display) -> Fault {
    StoreError::Illegal { what, now: now.to_string(), next: next.to_string() }.into()
}
