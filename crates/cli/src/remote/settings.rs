//! Secrets, variables, and tokens.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use server::api::wire::{NewToken, Secrets, Tokens, Variables};
use server::client::{Method, escaped};
use server::pages::format::moment;

use super::connection::{Connection, query};
use super::table::Table;
use super::typed;
use crate::age::age;
use crate::args::{ScopeArgs, SecretWhat, TokenWhat, VariableWhat};

/// No body.
const NOTHING: Option<&()> = None;

/// Characters of a moment that are its date.
const DATE: usize = 10;

pub(super) async fn secret(what: SecretWhat) -> Result<()> {
    match what {
        SecretWhat::Set { name, scope, server } => {
            let (server, path) = (Connection::of(&server)?, one("secrets", &name, &scope));
            let value = typed::value(&name, false).await?;
            if value.is_empty() {
                bail!(
                    "the value is empty; pipe it in (printf %s \"$VALUE\" | hearth secret set ...), or type it"
                );
            }
            Ok(server.tell(Method::PUT, &path, Some(&json!({"value": value}))).await?)
        }
        SecretWhat::Ls { scope, server } => {
            let server = Connection::of(&server)?;
            let found: Secrets = server.get(&all("secrets", &scope)).await?;
            let mut table = Table::new(&["NAME", "SET"], 0);
            found
                .secrets
                .iter()
                .for_each(|secret| table.row([secret.name.clone(), ago(secret.updated_at.0)]));
            show(&server, &found, &table)
        }
        SecretWhat::Rm { name, scope, server } => {
            Ok(Connection::of(&server)?.tell(Method::DELETE, &one("secrets", &name, &scope), NOTHING).await?)
        }
    }
}

pub(super) async fn variable(what: VariableWhat) -> Result<()> {
    match what {
        VariableWhat::Set { name, value, scope, server } => {
            let (server, path) = (Connection::of(&server)?, one("variables", &name, &scope));
            let value = match value {
                Some(value) => value,
                None => typed::value(&name, true).await?,
            };
            Ok(server.tell(Method::PUT, &path, Some(&json!({"value": value}))).await?)
        }
        VariableWhat::Ls { scope, server } => {
            let server = Connection::of(&server)?;
            let found: Variables = server.get(&all("variables", &scope)).await?;
            let mut table = Table::new(&["NAME", "VALUE", "SET"], 1);
            for variable in &found.variables {
                table.row([variable.name.clone(), variable.value.clone(), ago(variable.updated_at.0)]);
            }
            show(&server, &found, &table)
        }
        VariableWhat::Rm { name, scope, server } => Ok(Connection::of(&server)?
            .tell(Method::DELETE, &one("variables", &name, &scope), NOTHING)
            .await?),
    }
}

pub(super) async fn token(what: TokenWhat) -> Result<()> {
    match what {
        TokenWhat::Create { name, role, days, server } => {
            let server = Connection::of(&server)?;
            let role = role.to_possible_value().map(|role| role.get_name().to_owned());
            let mut wanted = json!({"name": name, "role": role});
            if let Some(days) = days {
                wanted["expires_in_days"] = days.into();
            }
            let made: NewToken = server.post("/api/v1/tokens", &wanted).await?;
            match server.is_json() {
                true => say!("{}", serde_json::to_string_pretty(&made)?),
                false => say!("{}", made.token),
            }
            eprintln!("hearth: keep it now: it is not shown a second time");
            Ok(())
        }
        TokenWhat::Ls { server } => {
            let server = Connection::of(&server)?;
            let found: Tokens = server.get("/api/v1/tokens").await?;
            let mut table = Table::new(&["NAME", "ROLE", "MADE", "GOOD UNTIL"], 0);
            for token in &found.tokens {
                let end = token.expires_at.map(|end| moment(end).chars().take(DATE).collect());
                let end: String = end.unwrap_or_else(|| "without end".to_owned());
                table.row([token.name.clone(), token.role.clone(), ago(token.created_at.0), end]);
            }
            show(&server, &found, &table)
        }
        TokenWhat::Rm { name, server } => {
            let path = format!("/api/v1/tokens/{}", escaped(&name));
            Ok(Connection::of(&server)?.tell(Method::DELETE, &path, NOTHING).await?)
        }
    }
}

pub(super) fn ago(unix_ms: u64) -> String {
    format!("{} ago", age(unix_ms))
}

pub(super) fn show(server: &Connection, found: &impl Serialize, table: &Table) -> Result<()> {
    match server.is_json() {
        true => say!("{}", serde_json::to_string_pretty(found)?),
        false => table.print(),
    }
    Ok(())
}

fn all(kind: &str, scope: &ScopeArgs) -> String {
    query(&format!("/api/v1/{kind}"), &[("scope", Some(word(scope)))])
}

fn one(kind: &str, name: &str, scope: &ScopeArgs) -> String {
    query(&format!("/api/v1/{kind}/{}", escaped(name)), &[("scope", Some(word(scope)))])
}

/// A scope as the API has it.
fn word(scope: &ScopeArgs) -> String {
    match (&scope.repository, &scope.environment, &scope.organisation) {
        (Some(repository), Some(environment), _) => format!("{repository}@{environment}"),
        (Some(repository), None, _) => repository.clone(),
        // The command line wants one of both.
        (None, _, organisation) => organisation.clone().unwrap_or_default(),
    }
}
