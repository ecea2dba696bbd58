//! Secrets, variables, and tokens.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::json;
use server::api::wire::{NewToken, Secrets, Tokens, Variables};
use server::client::{Method, escaped};

use super::connection::{Connection, NOTHING, query};
use super::repositories::{Owner, warn_unheard};
use super::typed;
use super::words::day;
use crate::args::{NamedArgs, ScopeArgs, SecretWhat, TokenWhat, VariableWhat};
use crate::json;
use crate::table::Table;

pub(super) async fn secret(what: SecretWhat) -> Result<()> {
    match what {
        SecretWhat::Set(NamedArgs { name, scope }) => {
            let server = Connection::of(&scope.server)?;
            let value = typed::value(&name, false).await?;
            if value.is_empty() {
                bail!(
                    "the value is empty; pipe it in (printf %s \"$VALUE\" | hearth secret set ...), or type it"
                );
            }
            set(&server, "secrets", &name, &value, &scope).await
        }
        SecretWhat::Ls(scope) => {
            let server = Connection::of(&scope.server)?;
            let found: Secrets = server.get(&all("secrets", &scope)).await?;
            let mut table = Table::new(&["NAME", "SET"], 0);
            for secret in &found.secrets {
                table.row_at([secret.name.clone()], secret.updated_at);
            }
            server.show(&found, &table)
        }
        SecretWhat::Rm(which) => remove("secrets", &which).await,
    }
}

pub(super) async fn variable(what: VariableWhat) -> Result<()> {
    match what {
        VariableWhat::Set { name, value, scope } => {
            let server = Connection::of(&scope.server)?;
            let value = match value {
                Some(value) => value,
                None => typed::value(&name, true).await?,
            };
            set(&server, "variables", &name, &value, &scope).await
        }
        VariableWhat::Ls(scope) => {
            let server = Connection::of(&scope.server)?;
            let found: Variables = server.get(&all("variables", &scope)).await?;
            let mut table = Table::new(&["NAME", "VALUE", "SET"], 1);
            for variable in &found.variables {
                table.row_at([variable.name.clone(), variable.value.clone()], variable.updated_at);
            }
            server.show(&found, &table)
        }
        VariableWhat::Rm(which) => remove("variables", &which).await,
    }
}

async fn set(server: &Connection, kind: &str, name: &str, value: &str, scope: &ScopeArgs) -> Result<()> {
    server.tell(Method::PUT, &one(kind, name, scope), Some(&json!({"value": value}))).await?;
    warn_unheard(server, owner(scope), Some(name)).await
}

async fn remove(kind: &str, which: &NamedArgs) -> Result<()> {
    let path = one(kind, &which.name, &which.scope);
    Ok(Connection::of(&which.scope.server)?.tell(Method::DELETE, &path, NOTHING).await?)
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
                true => say!("{}", json::pretty(&made)?),
                false => say!("{}", made.token),
            }
            eprintln!("hearth: keep it now: it is not shown a second time");
            Ok(())
        }
        TokenWhat::Ls { server } => {
            let server = Connection::of(&server)?;
            let found: Tokens = server.get("/api/v1/tokens").await?;
            let mut table = Table::new(&["NAME", "ROLE", "GOOD UNTIL", "MADE"], 0);
            for token in &found.tokens {
                let end = token.expires_at.map_or_else(|| "without end".to_owned(), day);
                table.row_at([token.name.clone(), token.role.clone(), end], token.created_at);
            }
            server.show(&found, &table)
        }
        TokenWhat::Rm { name, server } => {
            let path = format!("/api/v1/tokens/{}", escaped(&name));
            Ok(Connection::of(&server)?.tell(Method::DELETE, &path, NOTHING).await?)
        }
    }
}

/// Who a scope belongs to.
fn owner(scope: &ScopeArgs) -> Owner<'_> {
    match (&scope.repository, &scope.organisation) {
        (Some(repository), _) => Owner::Repository(repository),
        // The command line wants one of both.
        (None, organisation) => Owner::Organisation(organisation.as_deref().unwrap_or_default()),
    }
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
