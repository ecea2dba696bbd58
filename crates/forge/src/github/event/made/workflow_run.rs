//! Of `workflow_run`: a run here was asked for, has begun, or has ended.
//!
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_run>

use jiff::Timestamp;
use model::{Conclusion, RunId};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// A run that others follow. What it was started by is told in the words of its own event.
#[derive(Clone, Debug)]
pub struct FollowedRun<'a> {
    /// `requested`, `in_progress`, or `completed`.
    pub action: &'static str,
    /// Its id.
    pub id: RunId,
    /// Counts the runs of its workflow.
    pub number: u64,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Name of its workflow.
    pub workflow: &'a str,
    /// The workflow's file.
    pub path: &'a str,
    /// What people call the run.
    pub title: &'a str,
    /// Its event.
    pub event: &'a str,
    /// The payload of that event.
    pub cause: &'a Json,
    /// The branch that people know it by.
    pub head_branch: &'a str,
    /// The commit that it is about.
    pub head_sha: &'a str,
    /// The message of that commit.
    pub head_message: &'a str,
    /// How it ended, once it has.
    pub conclusion: Option<Conclusion>,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
    /// When this attempt began, if it has.
    pub started_at: Option<u64>,
    /// When this happened.
    pub updated_at: u64,
    /// Who caused the run.
    pub actor: &'a str,
    /// Who caused this attempt.
    pub triggering_actor: &'a str,
    /// Its page.
    pub page: String,
    /// Where the API has it.
    pub api: String,
    /// What payloads say of its repository.
    pub repository: &'a Json,
    /// The App's installation.
    pub installation: Option<u64>,
}

/// The payload.
pub fn workflow_run(run: &FollowedRun<'_>) -> Json {
    let workflow = number_of(run.path, run.repository);
    let mut payload = json!({
        "action": run.action,
        "workflow_run": {
            "id": run.id.0,
            "name": run.workflow,
            "display_title": run.title,
            "path": run.path,
            "workflow_id": workflow,
            "run_number": run.number,
            "run_attempt": run.attempt,
            "event": run.event,
            "status": run.status(),
            "conclusion": run.conclusion.map(Conclusion::as_str),
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
            "head_commit": run.head_commit(),
            "head_repository": run.head_repository(),
            "repository": run.repository,
            "pull_requests": run.pull_requests(),
            "referenced_workflows": [],
            "actor": run.person(run.actor),
            "triggering_actor": run.person(run.triggering_actor),
            "created_at": time(run.created_at),
            "updated_at": time(run.updated_at),
            "run_started_at": time(run.started_at.unwrap_or(run.created_at)),
            "html_url": run.page,
            "url": run.api,
            "jobs_url": format!("{}/jobs", run.api),
            "artifacts_url": format!("{}/artifacts", run.api),
        },
        "workflow": {"id": workflow, "name": run.workflow, "path": run.path, "state": "active"},
        "repository": run.repository,
        "sender": run.person(run.triggering_actor),
    });
    if let Some(id) = run.installation {
        payload["installation"] = json!({"id": id});
    }
    payload
}

impl FollowedRun<'_> {
    fn status(&self) -> &'static str {
        match self.action {
            "requested" => "queued",
            action => action,
        }
    }

    /// Somebody, with all that the cause tells of them.
    fn person(&self, login: &str) -> Json {
        let sender = &self.cause["sender"];
        if sender["login"] == login { sender.clone() } else { json!({"login": login}) }
    }

    fn head_commit(&self) -> Json {
        let known = &self.cause["head_commit"];
        match known["id"] == self.head_sha {
            true => known.clone(),
            false => json!({"id": self.head_sha, "message": self.head_message}),
        }
    }

    fn pull_request(&self) -> Option<&Json> {
        self.cause.get("pull_request").filter(|pull| pull.is_object())
    }

    /// Where the head is: of a pull request of a fork, there.
    fn head_repository(&self) -> &Json {
        let head = self.pull_request().and_then(|pull| pull.pointer("/head/repo"));
        head.unwrap_or(self.repository)
    }

    /// The pull request, unless it comes from a fork: GitHub names none then.
    fn pull_requests(&self) -> Vec<Json> {
        let is_own = |pull: &&Json| pull.pointer("/head/repo/id") == pull.pointer("/base/repo/id");
        let side = |pull: &Json, side: &str| {
            let repository = &pull[side]["repo"];
            json!({
                "ref": pull[side]["ref"],
                "sha": pull[side]["sha"],
                "repo": {"id": repository["id"], "name": repository["name"], "url": repository["url"]},
            })
        };
        let short = |pull: &Json| {
            json!({
                "id": pull["id"], "number": pull["number"], "url": pull["url"],
                "head": side(pull, "head"), "base": side(pull, "base"),
            })
        };
        self.pull_request().filter(is_own).map(short).into_iter().collect()
    }
}

/// A number for a workflow, which has none here: always the same for its file in its repository.
fn number_of(path: &str, repository: &Json) -> u32 {
    let digest = Sha256::digest(format!("{}/{path}", repository["full_name"]));
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// A moment, to the second as GitHub has it.
fn time(milliseconds: u64) -> Option<String> {
    let seconds = i64::try_from(milliseconds / 1000).ok()?;
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
