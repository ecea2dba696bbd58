//! Secrets, variables, and tokens.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::Timestamp;
use serde::Deserialize;
use store::Change;
use store::place;
use store::record::{self, Scope};

use super::error::ApiError;
use super::read::{Body, Query};
use super::wire::{NewToken, Secret, Secrets, Token, Tokens, Variable, Variables};
use crate::auth::{Role, token};
use crate::server::Shared;

/// Longest value of a secret or variable: GitHub's bound.
/// <https://docs.github.com/en/actions/reference/security/secrets#limits-for-secrets>
const VALUE_BYTES: usize = 48 * 1024;

/// Longest name: GitHub's bound.
/// <https://docs.github.com/en/actions/reference/limits>
const NAME_BYTES: usize = 255;

/// Longest life of a token, in days: ten years.
const TOKEN_DAYS: u32 = 3650;

/// When it is worth asking again where a secret could not be sealed, in seconds.
const RETRY_SECONDS: u64 = 10;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// For what: `owner`, `owner/name`, or `owner/name@environment`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct In {
    scope: String,
}

impl In {
    /// Where that is kept.
    async fn scope(&self, shared: &Shared) -> Result<Scope, ApiError> {
        let named = scope(&self.scope).ok_or_else(|| {
            ApiError::bad(
                "`scope` is an owner, a repository owner/name, or an environment owner/name@environment",
            )
        })?;
        let kept = place::of(&*shared.store, &named).await?;
        kept.map_err(|renamed| ApiError::conflict(format!("{} is called {renamed} now", self.scope)))
    }
}

/// The scope of these words.
fn scope(text: &str) -> Option<Scope> {
    let is_name = |name: &str| {
        // `~` is in names of repositories that others have taken the place of.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(plain)
    };
    let Some((owner, rest)) = text.split_once('/') else {
        return is_name(text).then(|| Scope::Organisation(text.to_owned()));
    };
    let (name, environment) = match rest.split_once('@') {
        Some((name, environment)) => (name, Some(environment)),
        None => (rest, None),
    };
    let is_environment =
        |name: &str| !name.is_empty() && name.len() <= NAME_BYTES && !name.chars().any(char::is_control);
    if !is_name(owner) || !is_name(name) || !environment.is_none_or(is_environment) {
        return None;
    }
    let repository = format!("{owner}/{name}");
    Some(match environment {
        Some(environment) => Scope::Environment(repository, environment.to_owned()),
        None => Scope::Repository(repository),
    })
}

/// A name of a secret or a variable, in capitals.
/// <https://docs.github.com/en/actions/reference/security/secrets#naming-your-secrets>
fn name_of(text: &str) -> Result<String, ApiError> {
    let name = text.to_ascii_uppercase();
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !is_plain || !begins_well || name.len() > NAME_BYTES || name.starts_with("GITHUB_") {
        let rule = "a name has letters, digits, and _, begins with no digit, and not with GITHUB_";
        return Err(ApiError::bad(rule));
    }
    Ok(name)
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
    let (scope, name) = (within.scope(&shared).await?, name_of(&name)?);
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
    let (scope, name) = (within.scope(&shared).await?, name_of(&name)?);
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
    let (scope, name, value) = (within.scope(&shared).await?, name_of(&name)?, value.bounded()?);
    let variable = record::Variable { scope, name, value, updated_at: Timestamp::now() };
    shared.store.apply(vec![Change::VariableSet(variable)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_variable(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(within): Query<In>,
) -> Result<StatusCode, ApiError> {
    let (scope, name) = (within.scope(&shared).await?, name_of(&name)?);
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
    let now = Timestamp::now();
    let expires_at = match wanted.expires_in_days {
        Some(0) => return Err(ApiError::bad("a token is good for at least a day")),
        Some(days) if days > TOKEN_DAYS => {
            return Err(ApiError::bad(format!(
                "a token is good for at most {TOKEN_DAYS} days, or without end"
            )));
        }
        days => days.map(|days| now.after(DAY * days)),
    };
    let made = token::make(&wanted.name, wanted.role, expires_at, now);
    let (secret, record) = made.map_err(|error| ApiError::bad(error.to_string()))?;
    if shared.store.tokens().await?.iter().any(|token| token.name == record.name) {
        return Err(ApiError::conflict(format!(
            "there is a token {:?} already; revoke it first",
            record.name
        )));
    }
    let new = NewToken { token: secret, about: told(record.clone()) };
    shared.store.apply(vec![Change::TokenMade(record)]).await?;
    Ok((StatusCode::CREATED, Json(new)))
}

pub(super) async fn revoke_token(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let tokens = shared.store.tokens().await?;
    if !tokens.iter().any(|token| token.name == name) {
        return Err(ApiError::missing(format!("token {name:?}")));
    }
    token::check_revocable(&tokens, &name, Timestamp::now())
        .map_err(|error| ApiError::conflict(error.to_string()))?;
    shared.store.apply(vec![Change::TokenRevoked { name }]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_an_owner_a_repository_or_an_environment() {
        assert_eq!(scope("octo"), Some(Scope::Organisation("octo".to_owned())));
        assert_eq!(scope("octo/a.b"), Some(Scope::Repository("octo/a.b".to_owned())));
        let environment = Scope::Environment("octo/a".to_owned(), "Prod / EU@1".to_owned());
        assert_eq!(scope("octo/a@Prod / EU@1"), Some(environment));
        for wrong in ["", "/", "octo/", "/a", "octo/a/b", "octo/a@", "oc to", "octo/a@b\n", "octo@x"] {
            assert_eq!(scope(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_name_is_in_capitals_and_as_github_has_it() {
        assert_eq!(name_of("npm_token").unwrap(), "NPM_TOKEN");
        for wrong in ["", "1A", "A-B", "github_x", "Ä", &"A".repeat(256)] {
            assert!(name_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
