//! What may be set, the same through the API and by a form: where, under which names, how large; and tokens.

use std::time::Duration;

use model::Timestamp;
use store::record::{self, Scope};
use store::{Change, Store, StoreError, place};

use crate::auth::{Role, token};
use crate::control::ControlError;

/// Longest value of a secret or variable: GitHub's bound.
/// <https://docs.github.com/en/actions/reference/security/secrets#limits-for-secrets>
pub(crate) const VALUE_BYTES: usize = 48 * 1024;

/// Longest name: GitHub's bound.
/// <https://docs.github.com/en/actions/reference/limits>
const NAME_BYTES: usize = 255;

/// Longest life of a token, in days: ten years.
const TOKEN_DAYS: u32 = 3650;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The scope of these words: `owner`, `owner/name`, or `owner/name@environment`.
pub(crate) fn scope(text: &str) -> Result<Scope, ControlError> {
    let rule = "a scope is an owner, a repository owner/name, or an environment owner/name@environment";
    read_scope(text.trim()).ok_or_else(|| ControlError::Invalid(rule.to_owned()))
}

fn read_scope(text: &str) -> Option<Scope> {
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

/// A scope as it is written.
pub(crate) fn word(scope: &Scope) -> String {
    match scope {
        Scope::Organisation(owner) => owner.clone(),
        Scope::Repository(repository) => repository.clone(),
        Scope::Environment(repository, environment) => format!("{repository}@{environment}"),
    }
}

/// Where that is kept which is set for the scope of these words.
pub(crate) async fn kept_in(store: &dyn Store, text: &str) -> Result<Scope, ControlError> {
    let kept = place::of(store, &scope(text)?).await.map_err(unavailable)?;
    kept.map_err(|renamed| ControlError::Unfit(format!("{} is called {renamed} now", text.trim())))
}

/// A name of a secret or a variable, in capitals.
/// <https://docs.github.com/en/actions/reference/security/secrets#naming-your-secrets>
pub(crate) fn name(text: &str) -> Result<String, ControlError> {
    let name = text.trim().to_ascii_uppercase();
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !is_plain || !begins_well || name.len() > NAME_BYTES || name.starts_with("GITHUB_") {
        let rule = "a name has letters, digits, and _, begins with no digit, and not with GITHUB_";
        return Err(ControlError::Invalid(rule.to_owned()));
    }
    Ok(name)
}

/// Makes a token that is good for so many days, or without end. What its holder sends, and what is known of it.
pub(crate) async fn make_token(
    store: &dyn Store,
    name: &str,
    role: Role,
    days: Option<u32>,
) -> Result<(String, record::Token), ControlError> {
    let now = Timestamp::now();
    if days.is_some_and(|days| !(1..=TOKEN_DAYS).contains(&days)) {
        let rule = format!("a token is good for 1 to {TOKEN_DAYS} days, or without end");
        return Err(ControlError::Invalid(rule));
    }
    let made = token::make(name, role, days.map(|days| now.after(DAY * days)), now);
    let (secret, record) = made.map_err(|error| ControlError::Invalid(error.to_string()))?;
    if store.tokens().await.map_err(unavailable)?.iter().any(|token| token.name == record.name) {
        let problem = format!("there is a token {:?} already; revoke it first", record.name);
        return Err(ControlError::Unfit(problem));
    }
    store.apply(vec![Change::TokenMade(record.clone())]).await.map_err(unavailable)?;
    Ok((secret, record))
}

/// Revokes a token.
pub(crate) async fn revoke_token(store: &dyn Store, name: &str) -> Result<(), ControlError> {
    let tokens = store.tokens().await.map_err(unavailable)?;
    if !tokens.iter().any(|token| token.name == name) {
        return Err(ControlError::Missing(format!("there is no token {name:?}")));
    }
    token::check_revocable(&tokens, name, Timestamp::now())
        .map_err(|error| ControlError::Unfit(error.to_string()))?;
    store.apply(vec![Change::TokenRevoked { name: name.to_owned() }]).await.map_err(unavailable)
}

fn unavailable(error: StoreError) -> ControlError {
    ControlError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_an_owner_a_repository_or_an_environment() {
        assert_eq!(scope(" octo ").unwrap(), Scope::Organisation("octo".to_owned()));
        assert_eq!(scope("octo/a.b").unwrap(), Scope::Repository("octo/a.b".to_owned()));
        let environment = Scope::Environment("octo/a".to_owned(), "Prod / EU@1".to_owned());
        assert_eq!(scope("octo/a@Prod / EU@1").unwrap(), environment);
        for text in ["octo", "octo/hello", "octo/hello@production"] {
            assert_eq!(word(&scope(text).unwrap()), text);
        }
        for wrong in ["", "/", "octo/", "/a", "octo/a/b", "octo/a@", "oc to", "octo/a@b\nc", "octo@x"] {
            assert!(scope(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_is_in_capitals_and_as_github_has_it() {
        assert_eq!(name(" npm_token").unwrap(), "NPM_TOKEN");
        for wrong in ["", "1A", "A-B", "github_x", "Ä", &"A".repeat(256)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }
}
