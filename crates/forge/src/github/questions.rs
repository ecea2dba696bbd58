//! What is asked of GitHub about repositories and people, and what is said there besides reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::client::{Call, Client, ClientError, segment};
use crate::repository::{RepositoryName, RepositoryRef};

/// What somebody may do with a repository. GitHub's `maintain` counts as write here, and `triage` as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Nothing that others may not.
    None,
    /// Read it.
    Read,
    /// Change it: whose code is run without asking, and who may approve others'.
    Write,
    /// Everything.
    Admin,
}

/// A pull request, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullState {
    /// Whether it is open.
    pub is_open: bool,
    /// Last commit of its branch.
    pub head_sha: String,
    /// Whether it can be merged; `None` while GitHub is finding out, for which asking is what starts it.
    pub mergeable: Option<bool>,
}

/// An App, as GitHub knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFacts {
    /// Its number: what checks and webhooks name it by.
    pub id: u64,
    /// Its name in addresses; its login is this with `[bot]`.
    pub slug: String,
}

/// Which App this is; asked as the App, which also shows whether its key is right.
/// <https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app>
pub async fn app(client: &Client) -> Result<AppFacts, ClientError> {
    let call = Call::get("/app", "ask which App this is");
    let body = client.call(&call).await?.body;
    Ok(AppFacts {
        id: body["id"].as_u64().ok_or_else(|| unclear(&call, "the App has no id"))?,
        slug: body["slug"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Ranges of addresses that webhooks come from.
/// <https://docs.github.com/en/rest/meta/meta#get-github-meta-information>
pub async fn hooks(client: &Client) -> Result<Vec<String>, ClientError> {
    let call = Call::get("/meta", "ask where webhooks come from");
    let body = client.call(&call).await?.body;
    let ranges = body["hooks"].as_array().map(|ranges| ranges.iter().filter_map(Json::as_str));
    let ranges = ranges.ok_or_else(|| unclear(&call, "there is no list of `hooks`"))?;
    Ok(ranges.map(str::to_owned).collect())
}

/// What somebody may do with a repository.
/// <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
pub async fn permission(
    client: &Client,
    repository: &RepositoryName,
    login: &str,
) -> Result<Permission, ClientError> {
    let path = format!("/repos/{repository}/collaborators/{}/permission", segment(login));
    let call = Call::get(path, format!("ask what {login} may do with {repository}"));
    match client.call(&call).await {
        Ok(answer) => Ok(match answer.body["permission"].as_str() {
            Some("admin") => Permission::Admin,
            Some("write") => Permission::Write,
            Some("read") => Permission::Read,
            _ => Permission::None,
        }),
        // Nobody of that name.
        Err(error) if error.status() == Some(404) => Ok(Permission::None),
        Err(error) => Err(error),
    }
}

/// Writes a comment on an issue or a pull request; its id.
/// <https://docs.github.com/en/rest/issues/comments#create-an-issue-comment>
pub async fn comment(
    client: &Client,
    repository: &RepositoryName,
    number: u64,
    text: &str,
) -> Result<u64, ClientError> {
    let path = format!("/repos/{repository}/issues/{number}/comments");
    let call = Call::post(path, format!("comment on {repository}#{number}"), json!({"body": text}));
    let answer = client.call(&call).await?;
    answer.body["id"].as_u64().ok_or_else(|| unclear(&call, "the comment has no id"))
}

/// What GitHub knows of a repository.
/// <https://docs.github.com/en/rest/repos/repos#get-a-repository>
pub async fn repository(client: &Client, name: &RepositoryName) -> Result<RepositoryRef, ClientError> {
    let call = Call::get(format!("/repos/{name}"), format!("read {name}"));
    let body = client.call(&call).await?.body;
    let full_name = body["full_name"].as_str().and_then(|name| name.parse().ok());
    Ok(RepositoryRef {
        id: body["id"].as_u64().ok_or_else(|| unclear(&call, "the repository has no id"))?,
        // It may have been renamed.
        name: full_name.unwrap_or_else(|| name.clone()),
        default_branch: body["default_branch"].as_str().map(str::to_owned),
        private: body["private"] != false,
        fork: body["fork"] == true,
    })
}

/// The installation of the App that a repository belongs to, if to any; asked as the App.
/// <https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app>
pub async fn installation(client: &Client, name: &RepositoryName) -> Result<Option<u64>, ClientError> {
    let call =
        Call::get(format!("/repos/{name}/installation"), format!("ask who installed the App on {name}"));
    match client.call(&call).await {
        Ok(answer) => {
            answer.body["id"].as_u64().map(Some).ok_or_else(|| unclear(&call, "the installation has no id"))
        }
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an installation of the App may do (`contents` → `read`), of which tokens get a part; asked as the App.
/// <https://docs.github.com/en/rest/apps/apps#get-an-installation-for-the-authenticated-app>
pub async fn installed(client: &Client, id: u64) -> Result<BTreeMap<String, String>, ClientError> {
    let call = Call::get(format!("/app/installations/{id}"), format!("ask what installation {id} may do"));
    let body = client.call(&call).await?.body;
    let permissions =
        body["permissions"].as_object().ok_or_else(|| unclear(&call, "it has no permissions"))?;
    let permissions =
        permissions.iter().filter_map(|(name, access)| Some((name.clone(), access.as_str()?.to_owned())));
    Ok(permissions.collect())
}

/// Ends an installation's token before its time; asked as its holder. One that has ended already is no error.
/// <https://docs.github.com/en/rest/apps/installations#revoke-an-installation-access-token>
pub async fn revoke(client: &Client) -> Result<(), ClientError> {
    match client.call(&Call::delete("/installation/token", "end a job's token")).await {
        Err(error) if error.status() != Some(401) => Err(error),
        _ => Ok(()),
    }
}

/// How a pull request stands. For one whose trial merge is not there yet, this has GitHub make it.
/// <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
pub async fn pull_request(
    client: &Client,
    repository: &RepositoryName,
    number: u64,
) -> Result<PullState, ClientError> {
    let call =
        Call::get(format!("/repos/{repository}/pulls/{number}"), format!("read {repository}#{number}"));
    let body = client.call(&call).await?.body;
    let head = body.pointer("/head/sha").and_then(Json::as_str);
    Ok(PullState {
        is_open: body["state"] == "open",
        head_sha: head.ok_or_else(|| unclear(&call, "the pull request has no head"))?.to_owned(),
        mergeable: body["mergeable"].as_bool(),
    })
}

fn unclear(call: &Call, cause: &str) -> ClientError {
    ClientError::Answer { call: call.what.clone(), cause: cause.to_owned() }
}
