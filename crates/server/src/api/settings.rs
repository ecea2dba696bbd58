//! Secrets, variables, and tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::Timestamp;
use serde::Deserialize;
use store::Change;
use store::record::{self, Scope};

use super::error::ApiError;
use super::read::{Body, Path, Query};
use super::wire::{NewToken, Secret, Secrets, Token, Tokens, Variable, Variables};
use crate::auth::Role;
use crate::server::Shared;
use crate::settings::{self, VALUE_BYTES};

/// When it is worth asking again where a secret could not be sealed, in seconds.
const RETRY_SECONDS: u64 = 10;

/// For what: `owner`, `owner/name`, or `owner/name@environment`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct In {
    scope: String,
}

impl In {
    async fn scope(&self, shared: &Shared) -> Result<Scope, ApiError> {
        Ok(settings::kept_in(&*shared.store, &self.scope).await?)
    }
}

/// A value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Value {
    value: String,
}

impl Value {
    fn bounded(self) -> Result<String, ApiError> {
        match self.value.len() > VALUE_BYTES {
            true => Err(ApiError::too_large(format!("the value has more than {VALUE_BYTES} bytes"))),
            false => Ok(self.value),
        }
    }
}

pub(super) async fn secrets(
    State(shared): State<Arc<Shared>>,
    Query(within): Query<In>,
) -> Result<Json<Secrets>, ApiError> {
    let secrets = shared.store.secrets(&within.scope(&shared).await?).await?.into_iter();
    let secrets = secrets.map(|secret| Secret { name: secret.name, updated_at: secret.updated_at });
    Ok(Json(Secrets { secrets: secrets.collect() }))
}

pub(super) async fn set_secret(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(within): Query<In>,
    Body(value): Body<Value>,
) -> Result<StatusCode, ApiError> {
    let (scope, name) = (within.scope(&shared).await?, settings::name(&name)?);
    let sealed = shared.seal.seal(&scope, &name, &model::Secret(value.bounded()?));
    let sealed = sealed.map_err(|error| ApiError::unavailable(error.to_string(), RETRY_SECONDS))?;
    shared.store.apply(vec![Change::SecretSet { scope, name, sealed, at: Timestamp::now() }]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_secret(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(within): Query<In>,
) -> Result<StatusCode, ApiError> {
    let (scope, name) = (within.scope(&shared).await?, settings::name(&name)?);
    if !shared.store.secrets(&scope).await?.iter().any(|secret| secret.name == name) {
        return Err(ApiError::missing(format!("secret {name} in {}", within.scope)));
    }
    shared.store.apply(vec![Change::SecretRemoved { scope, name }]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn variables(
    State(shared): State<Arc<Shared>>,
    Query(within): Query<In>,
) -> Result<Json<Variables>, ApiError> {
    let variables = shared.store.variables(&within.scope(&shared).await?).await?.into_iter();
    let told = |variable: record::Variable| Variable {
        name: variable.name,
        value: variable.value,
        updated_at: variable.updated_at,
    };
    Ok(Json(Variables { variables: variables.map(told).collect() }))
}

pub(super) async fn set_variable(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(within): Query<In>,
    Body(value): Body<Value>,
) -> Result<StatusCode, ApiError> {
    let (scope, name, value) = (within.scope(&shared).await?, settings::name(&name)?, value.bounded()?);
    let variable = record::Variable { scope, name, value, updated_at: Timestamp::now() };
    shared.store.apply(vec![Change::VariableSet(variable)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_variable(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(within): Query<In>,
) -> Result<StatusCode, ApiError> {
    let (scope, name) = (within.scope(&shared).await?, settings::name(&name)?);
    if !shared.store.variables(&scope).await?.iter().any(|variable| variable.name == name) {
        return Err(ApiError::missing(format!("variable {name} in {}", within.scope)));
    }
    shared.store.apply(vec![Change::VariableRemoved { scope, name }]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn tokens(State(shared): State<Arc<Shared>>) -> Result<Json<Tokens>, ApiError> {
    let tokens = shared.store.tokens().await?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(told).collect() }))
}

fn told(token: record::Token) -> Token {
    let record::Token { name, role, created_at, expires_at, .. } = token;
    Token { name, role, created_at, expires_at }
}

/// A token that shall be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    role: Role,
    expires_in_days: Option<u32>,
}

pub(super) async fn make_token(
    State(shared): State<Arc<Shared>>,
    Body(wanted): Body<Wanted>,
) -> Result<(StatusCode, Json<NewToken>), ApiError> {
    let Wanted { name, role, expires_in_days } = wanted;
    let (token, record) = settings::make_token(&*shared.store, &name, role, expires_in_days).await?;
    Ok((StatusCode::CREATED, Json(NewToken { token, about: told(record) })))
}

pub(super) async fn revoke_token(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    settings::revoke_token(&*shared.store, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
