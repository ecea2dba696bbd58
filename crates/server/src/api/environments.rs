//! Environments, and who is let into them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use scheduler::environment;
use store::Change;
use store::record::Scope;

use super::error::ApiError;
use super::read::{Body, Path};
use super::wire::{Environments, Rules};
use crate::server::Shared;
use crate::settings;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Environments>, ApiError> {
    let place = place(&shared, &owner, &name).await?;
    let environments = environment::of_place(&*shared.store, &place).await?;
    Ok(Json(Environments { environments }))
}

/// Where the things of a repository are kept. It may be one that the server has not heard of yet.
async fn place(shared: &Shared, owner: &str, name: &str) -> Result<String, ApiError> {
    let named = format!("{owner}/{name}");
    match settings::kept_in(&*shared.store, &named).await? {
        Scope::Repository(place) => Ok(place),
        _ => Err(ApiError::bad(format!("{named:?} is no repository owner/name"))),
    }
}

pub(super) async fn set(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, environment)): Path<(String, String, String)>,
    Body(rules): Body<Rules>,
) -> Result<StatusCode, ApiError> {
    let wanted = rules.of(environment);
    wanted.check().map_err(ApiError::bad)?;
    let place = place(&shared, &owner, &name).await?;
    shared.store.apply(vec![environment::set(&place, &wanted)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The environment goes with all that is in it, as on GitHub. Rules that can't be read, its own or another's, go or stay
/// like any others: a newer version may have written them.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, wanted)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let place = place(&shared, &owner, &name).await?;
    let has_rules = environment::has_rules(&*shared.store, &place, &wanted).await?;
    let scope = Scope::Environment(place.clone(), wanted.clone());
    let within = |name| Change::SecretRemoved { scope: scope.clone(), name };
    let secrets = shared.store.secrets(&scope).await?.into_iter().map(|secret| within(secret.name));
    let within = |name| Change::VariableRemoved { scope: scope.clone(), name };
    let variables = shared.store.variables(&scope).await?.into_iter().map(|variable| within(variable.name));
    let mut changes: Vec<Change> = secrets.chain(variables).collect();
    if changes.is_empty() && !has_rules {
        return Err(ApiError::missing(format!("environment {wanted:?} of {owner}/{name}")));
    }
    changes.push(environment::remove(&place, &wanted));
    shared.store.apply(changes).await?;
    Ok(StatusCode::NO_CONTENT)
}
