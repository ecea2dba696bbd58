//! Secrets, variables, tokens.

use model::Timestamp;
use scheduler::environment::Environment;
use serde::{Deserialize, Serialize};

/// A secret; nobody is told its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name, in capitals.
    pub name: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// The secrets of a scope, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// They.
    pub secrets: Vec<Secret>,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name, in capitals.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// The variables of a scope, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variables {
    /// They.
    pub variables: Vec<Variable>,
}

/// The environments of a repository that have rules, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environments {
    /// They.
    pub environments: Vec<Environment>,
}

/// The rules that an environment shall have; what is not said is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// [`Environment::approval`].
    pub approval: bool,
    /// [`Environment::reviewers`].
    pub reviewers: Vec<String>,
    /// [`Environment::prevent_self_review`].
    pub prevent_self_review: bool,
    /// [`Environment::wait_minutes`].
    pub wait_minutes: u32,
    /// [`Environment::branches`].
    pub branches: Vec<String>,
    /// [`Environment::tags`].
    pub tags: Vec<String>,
}

impl Rules {
    /// The environment of this name that has them.
    #[must_use]
    pub fn of(self, name: String) -> Environment {
        let Self { approval, reviewers, prevent_self_review, wait_minutes, branches, tags } = self;
        Environment { name, approval, reviewers, prevent_self_review, wait_minutes, branches, tags }
    }
}

/// A token; nobody is told the token itself a second time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub role: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
}

/// All tokens, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// They.
    pub tokens: Vec<Token>,
}

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// What its holder sends; shown this once.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub about: Token,
}
