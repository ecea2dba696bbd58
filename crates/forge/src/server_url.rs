//! The server that a run is of: `github.server_url`, and the addresses that follow from it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::repository::RepositoryName;

/// Scheme, host, and port of a GitHub, or of one that is like it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerUrl {
    scheme: String,
    host: String,
}

/// What is no address of a server.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no address of a server; write one like https://github.example.com")]
pub struct ServerUrlError(String);

impl Default for ServerUrl {
    fn default() -> Self {
        ServerUrl { scheme: "https".to_owned(), host: "github.com".to_owned() }
    }
}

impl ServerUrl {
    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Address of the REST API: of github.com and of `*.ghe.com` a host of its own, else a path.
    /// <https://docs.github.com/en/enterprise-server@latest/rest/using-the-rest-api/getting-started-with-the-rest-api>
    pub fn api(&self) -> String {
        if self.has_api_host() { self.api_host() } else { format!("{self}/api/v3") }
    }

    /// Address of the GraphQL API.
    pub fn graphql(&self) -> String {
        if self.has_api_host() {
            format!("{}/graphql", self.api_host())
        } else {
            format!("{self}/api/graphql")
        }
    }

    /// Address that git fetches a repository from.
    pub fn clone_url(&self, name: &RepositoryName) -> String {
        format!("{self}/{name}.git")
    }

    fn has_api_host(&self) -> bool {
        self.host == "github.com" || self.host.ends_with(".ghe.com")
    }

    fn api_host(&self) -> String {
        format!("{}://api.{}", self.scheme, self.host)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let error = || ServerUrlError(text.to_owned());
        let (scheme, host) = text.trim_end_matches('/').split_once("://").ok_or_else(error)?;
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if !["http", "https"].contains(&scheme.as_str()) || host.is_empty() || !host.chars().all(allowed) {
            return Err(error());
        }
        Ok(ServerUrl { scheme, host })
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: String) -> Result<Self, ServerUrlError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_github_has_its_own_addresses() {
        let addresses = |text: &str| {
            let server: ServerUrl = text.parse().unwrap();
            [server.to_string(), server.api(), server.graphql()].join(" ")
        };
        assert_eq!(
            addresses("https://github.com/"),
            "https://github.com https://api.github.com https://api.github.com/graphql"
        );
        assert_eq!(
            addresses("https://octo.ghe.com"),
            "https://octo.ghe.com https://api.octo.ghe.com https://api.octo.ghe.com/graphql"
        );
        assert_eq!(
            addresses("HTTP://127.0.0.1:3000"),
            "http://127.0.0.1:3000 http://127.0.0.1:3000/api/v3 http://127.0.0.1:3000/api/graphql"
        );
        for wrong in ["github.com", "ssh://h", "https://", "https://me:secret@h", "https://h/path"] {
            assert!(wrong.parse::<ServerUrl>().is_err(), "{wrong}");
        }
    }
}
