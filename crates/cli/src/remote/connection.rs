//! Which server, as whom, and what its refusals mean.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use server::client::{Body, Client, ClientError, Events, Method, escaped, reader, whole};
use tokio::io::AsyncRead;

use crate::args::{RemoteFormat, SERVER, ServerArgs};
use crate::config::Config;
use crate::data;
use crate::exit;
use crate::json;
use crate::serve::{ADDRESS_FILE, FIRST_TOKEN};
use crate::table::Table;

/// The variable that holds the token. There is no flag for it: arguments are seen by everybody on a host.
const TOKEN: &str = "HEARTH_TOKEN";

/// No body.
pub(super) const NOTHING: Option<&()> = None;

/// A server that answers.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    address: String,
    has_token: bool,
    /// How its answers are shown.
    pub(super) format: RemoteFormat,
}

/// What could not be asked, and what to do.
#[derive(Debug)]
pub(crate) struct RemoteError {
    error: ClientError,
    has_token: bool,
}

impl RemoteError {
    /// What went wrong.
    pub(crate) fn error(&self) -> &ClientError {
        &self.error
    }

    /// The same without what to do.
    pub(super) fn into_error(self) -> ClientError {
        self.error
    }

    /// Whether it may be otherwise in a moment.
    pub(super) fn may_pass(&self) -> bool {
        exit::may_pass(&self.error)
    }

    /// Whether there is no such thing.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.error, ClientError::Refused { status: StatusCode::NOT_FOUND, .. })
    }

    /// Whether it was refused as things stand, and not for good.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self.error, ClientError::Refused { status: StatusCode::CONFLICT, .. })
    }

    /// What to do.
    fn hint(&self) -> Option<&'static str> {
        match &self.error {
            ClientError::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED if self.has_token => Some(
                    "put another into HEARTH_TOKEN; who administrates the server makes them with `hearth token`",
                ),
                StatusCode::UNAUTHORIZED => Some(
                    "put one into HEARTH_TOKEN; on the server's own host, --data finds its administrator's",
                ),
                StatusCode::FORBIDDEN => Some(
                    "who administrates the server makes a token for it: hearth token create NAME --role ROLE",
                ),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            // What the server says of it is for programs.
            ClientError::Refused { status: StatusCode::UNAUTHORIZED, .. } if !self.has_token => {
                f.write_str("the server wants a token")?;
            }
            ClientError::Unreachable(authority, error) => {
                return write!(
                    f,
                    "can't reach {authority} ({error}): is `hearth serve` running there? --server or HEARTH_SERVER \
                     names another"
                );
            }
            error => write!(f, "{error}")?,
        }
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for RemoteError {}

impl Connection {
    /// The server that the arguments mean.
    pub(super) fn of(args: &ServerArgs) -> Result<Connection> {
        // What is written there belongs to a local server only.
        let folder = data::existing(args.data.clone().or_else(|| Config::load(None).ok()?.data));
        let note = |name: &str| read_note(folder.as_deref()?, name);
        let given = args.server.clone().filter(|server| !server.is_empty());
        let address = given.or_else(|| note(ADDRESS_FILE)).unwrap_or_else(|| SERVER.to_owned());
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let token = token.or_else(|| note(FIRST_TOKEN).filter(|_| is_here(&address)));
        let client = Client::new(&address, token.as_deref())?;
        Ok(Connection { client, address, has_token: token.is_some(), format: args.format })
    }

    /// Where it is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether programs read what is shown.
    pub(super) fn is_json(&self) -> bool {
        self.format == RemoteFormat::Json
    }

    /// Shows a list, as programs or people want it.
    pub(super) fn show(&self, found: &impl Serialize, table: &Table) -> Result<()> {
        match self.is_json() {
            true => say!("{}", json::pretty(found)?),
            false => table.list(),
        }
        Ok(())
    }

    /// Reads something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.client.call(Method::GET, path, None::<&()>).await.map_err(|error| self.explain(error))
    }

    /// Has something done, and reads what came of it.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, RemoteError> {
        self.client.call(Method::POST, path, Some(body)).await.map_err(|error| self.explain(error))
    }

    /// Has something done.
    pub(super) async fn tell(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<(), RemoteError> {
        self.client.tell(method, path, body).await.map_err(|error| self.explain(error))
    }

    /// Has something removed, and reads what it was.
    pub(super) async fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.client.call(Method::DELETE, path, None::<&()>).await.map_err(|error| self.explain(error))
    }

    /// Reads something that is as long as it is.
    pub(super) async fn download(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + Send + Unpin + use<>, RemoteError> {
        let answer = self.client.succeed(Method::GET, path, Body::empty()).await;
        answer.map(|answer| reader(answer.into_body())).map_err(|error| self.explain(error))
    }

    /// Listens to events.
    pub(super) async fn listen(&self, path: &str) -> Result<Events, RemoteError> {
        self.client.listen(path).await.map_err(|error| self.explain(error))
    }

    /// Reads something whatever the status is: `/ready` says with 503 why not.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        let asked = async {
            let answer = self.client.send(Method::GET, path, Body::empty()).await?;
            let body = whole(answer.into_body()).await?;
            serde_json::from_slice(&body).map_err(|error| ClientError::Broken(error.to_string()))
        };
        asked.await.map_err(|error| self.explain(error))
    }

    /// What an error of a stream that was open means.
    pub(super) fn explain(&self, error: ClientError) -> RemoteError {
        RemoteError { error, has_token: self.has_token }
    }
}

/// A line that the server has left in its data folder, for whoever may read that.
fn read_note(folder: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Whether an address is on this host: the administrator's token goes nowhere else.
fn is_here(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => host.split(':').next().unwrap_or(host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A path with these parameters, of which those without a value are left out.
pub(super) fn query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let pairs =
        parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(value.as_ref()?))));
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrators_token_goes_to_servers_on_this_host_only() {
        for here in ["http://127.0.0.1:3000", "https://localhost", "http://[::1]:80/", "http://127.9.9.9"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "http://ci.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example",
            "http://10.0.0.1:3000",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn parameters_are_escaped_and_left_out_where_nothing_is_said() {
        let path = query(
            "/runs",
            &[("branch", Some("a&b=c".to_owned())), ("event", None), ("limit", Some("2".to_owned()))],
        );
        assert_eq!(path, "/runs?branch=a%26b%3Dc&limit=2");
        assert_eq!(query("/runs", &[("event", None)]), "/runs");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let refused = |status, has_token| {
            let error = ClientError::Refused { status, reason: "this needs the role admin".to_owned() };
            RemoteError { error, has_token }.to_string()
        };
        assert!(refused(StatusCode::UNAUTHORIZED, false).contains("put one into HEARTH_TOKEN"));
        assert!(refused(StatusCode::UNAUTHORIZED, true).contains("put another"));
        assert!(
            refused(StatusCode::FORBIDDEN, true).starts_with("this needs the role admin; who administrates")
        );
        assert_eq!(refused(StatusCode::CONFLICT, true), "this needs the role admin");
    }
}
