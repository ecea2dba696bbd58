//! Carrying reports out.

use serde_json::Value as Json;

use super::comment::{self, PullView, SentComment, Todo, is_marked};
use super::{Mark, Means, Planned, RunView, Sent, check, plan};
use crate::github::client::{Call, Client, ClientError};

/// Rounds of planning and sending: making a check run, and then ten batches of annotations.
const MAX_ROUNDS: usize = 12;

/// Brings GitHub up to date with a run: with check runs if the client is an App, with a commit status otherwise.
///
/// `sent` is changed after each call. Store it also after an error: the next time goes on from there. Not to be
/// called twice at once for one run.
pub async fn send(client: &Client, view: &RunView, sent: &mut Sent) -> Result<(), ClientError> {
    let means = if client.app().is_some() { Means::Checks } else { Means::Statuses };
    for _ in 0..MAX_ROUNDS {
        let calls = plan(view, means, sent);
        if calls.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        for planned in calls {
            // One job that GitHub will not take is in no other's way.
            match carry_out(client, view, &planned, sent).await {
                Err(error) if error.status().is_some() => failed = failed.or(Some(error)),
                outcome => outcome?,
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

async fn carry_out(
    client: &Client,
    view: &RunView,
    planned: &Planned,
    sent: &mut Sent,
) -> Result<(), ClientError> {
    let answer = match client.call(&planned.call).await {
        Err(ClientError::Unsure { call, cause }) => {
            if sent.forget(planned) {
                return Ok(());
            }
            found(client, view, planned).await?.ok_or(ClientError::Unsure { call, cause })?
        }
        answer => answer?.body,
    };
    let unclear = |cause| ClientError::Answer { call: planned.call.what.clone(), cause };
    sent.note(planned, &answer).map_err(unclear)
}

/// The check run that a lost call has made, if it did.
async fn found(client: &Client, view: &RunView, planned: &Planned) -> Result<Option<Json>, ClientError> {
    let Mark::Made { job, .. } = &planned.mark else { return Ok(None) };
    let Some(view_of_job) = view.jobs.iter().find(|view| view.id == *job) else { return Ok(None) };
    let call = check::find(view, view_of_job);
    let id = job.to_string();
    let is_it = |check: &Json| check["external_id"] == *id;
    let checks = client.list(&call, |page| page["check_runs"].as_array(), is_it).await?;
    Ok(checks.into_iter().find(is_it))
}

/// Brings the comment on a pull request up to date, and makes it where there is none.
///
/// `sent` is changed after each call. Store it also after an error. Not to be called twice at once for one pull request.
pub async fn send_comment(
    client: &Client,
    view: &PullView,
    sent: &mut SentComment,
) -> Result<(), ClientError> {
    loop {
        match comment::plan(view, sent) {
            Todo::Nothing => return Ok(()),
            Todo::Look(call) => {
                sent.id = look(client, view, &call).await?;
                sent.looked = true;
            }
            Todo::Make(call) => {
                // Whether it was made is seen by looking, should the answer be lost.
                sent.looked = false;
                let answer = client.call(&call).await?;
                note(sent, &call, answer.body["id"].as_u64());
                return Ok(());
            }
            Todo::Change(call) => match client.call(&call).await {
                // Somebody removed it.
                Err(error) if matches!(error.status(), Some(404 | 410)) => {
                    *sent = SentComment { looked: true, ..SentComment::default() };
                }
                answer => {
                    answer?;
                    note(sent, &call, sent.id);
                    return Ok(());
                }
            },
        }
    }
}

fn note(sent: &mut SentComment, call: &Call, id: Option<u64>) {
    let body = call.body.as_ref().and_then(|body| body["body"].as_str()).unwrap_or_default();
    sent.id = id;
    sent.looked = id.is_some();
    sent.print = Some(comment::print(body));
}

/// The comment of an earlier life: marked, and by ourselves.
async fn look(client: &Client, view: &PullView, call: &Call) -> Result<Option<u64>, ClientError> {
    let login = match client.app() {
        Some(_) => None,
        None => own_login(client).await?,
    };
    let is_own = |comment: &Json| match client.app() {
        Some(app) => {
            let via = &comment["performed_via_github_app"];
            let number = via["id"].as_u64().map(|id| id.to_string());
            via["client_id"] == app.id() || number.as_deref() == Some(app.id())
        }
        None => login.is_some() && comment["user"]["login"].as_str() == login.as_deref(),
    };
    let is_it = |comment: &Json| is_marked(view, comment) && is_own(comment);
    let comments = client.list(call, Json::as_array, is_it).await?;
    Ok(comments.iter().find(|comment| is_it(comment)).and_then(|comment| comment["id"].as_u64()))
}

/// Whose token it is; tokens that are nobody's may not ask.
async fn own_login(client: &Client) -> Result<Option<String>, ClientError> {
    match client.call(&Call::get("/user", "ask whose token this is")).await {
        Ok(answer) => Ok(answer.body["login"].as_str().map(str::to_owned)),
        Err(error) if matches!(error.status(), Some(401 | 403 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}
