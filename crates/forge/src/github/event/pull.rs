//! What an event says of a pull request.

use serde_json::Value as Json;

use super::read::Reader;
use super::{EventKind, PullRequest, ReadError};
use crate::commit::{CommitSpec, is_commit, is_ref_name};
use crate::github::refs::branch;

/// The pull request of an event that is of one.
pub(super) fn pull_request(kind: &EventKind, reader: &Reader<'_>) -> Result<Option<PullRequest>, ReadError> {
    let is_of_one = matches!(
        kind,
        EventKind::PullRequest
            | EventKind::PullRequestTarget
            | EventKind::PullRequestReview
            | EventKind::PullRequestReviewComment
    );
    if !is_of_one {
        return Ok(None);
    }
    let base_ref = reader.needed("/pull_request/base/ref")?.to_owned();
    if !is_ref_name(&branch(&base_ref)) {
        return Err(reader.wrong("pull_request/base/ref", &base_ref));
    }
    let head_repository = reader.text("/pull_request/head/repo/full_name").and_then(|name| name.parse().ok());
    Ok(Some(PullRequest {
        number: reader.number("/pull_request/number")?,
        head_repository,
        head_ref: reader.needed("/pull_request/head/ref")?.to_owned(),
        head_sha: reader.commit("/pull_request/head/sha")?,
        base_ref,
        base_sha: reader.commit("/pull_request/base/sha")?,
        author: reader.text("/pull_request/user/login").unwrap_or_default().to_owned(),
        author_id: reader.payload.pointer("/pull_request/user/id").and_then(Json::as_u64),
        author_association: reader.text("/pull_request/author_association").unwrap_or("NONE").to_owned(),
        is_fork: is_fork(reader.payload),
    }))
}

/// Whether the branch is in another repository. One that can't be told is taken for another.
fn is_fork(payload: &Json) -> bool {
    let id = |side: &str| payload.pointer(&format!("/pull_request/{side}/repo/id")).and_then(Json::as_u64);
    match (id("head"), id("base")) {
        (Some(head), Some(base)) => head != base,
        _ => true,
    }
}

/// What workflows of a pull request run on: the trial merge, or what came of the real one.
pub(super) fn pull_specs(kind: &EventKind, reader: &Reader<'_>, pull: &PullRequest) -> CommitSpec {
    let is_merged = *kind == EventKind::PullRequest && reader.payload["pull_request"]["merged"] == true;
    match reader.text("/pull_request/merge_commit_sha") {
        Some(sha) if is_merged && is_commit(sha) => CommitSpec::Sha(sha.to_owned()),
        _ if is_merged => CommitSpec::Branch(pull.base_ref.clone()),
        _ => {
            CommitSpec::Merge { pull: pull.number, head: pull.head_sha.clone(), base: pull.base_sha.clone() }
        }
    }
}
