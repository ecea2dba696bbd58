//! What workflows of an event run on: `GITHUB_SHA`, and what belongs to it.

use serde_json::Value as Json;

use super::pull::{pull_request, pull_specs};
use super::read::Reader;
use super::{EventKind, PullRequest, ReadError, Start};
use crate::commit::{CommitSpec, Diff, is_commit, is_ref_name};
use crate::github::refs::{EventRef, branch};
use crate::repository::RepositoryRef;

/// The events that a webhook is for workflows.
pub(super) fn starts(
    kind: &EventKind,
    reader: &Reader<'_>,
    repository: &RepositoryRef,
) -> Result<Vec<Start>, ReadError> {
    let first = start(kind, reader, repository)?;
    if *kind != EventKind::PullRequest {
        return Ok(vec![first]);
    }
    // The same payload, for the two sides of trust.
    Ok(vec![first, start(&EventKind::PullRequestTarget, reader, repository)?])
}

fn start(kind: &EventKind, reader: &Reader<'_>, repository: &RepositoryRef) -> Result<Start, ReadError> {
    let pull = pull_request(kind, reader)?;
    let reference = reference(kind, reader, repository)?;
    let commit = commit(kind, reader, &reference, pull.as_ref())?;
    let workflows_from = match kind {
        // Only workflows of the default branch hear of packages.
        EventKind::RegistryPackage => CommitSpec::Branch(default_branch(reader, repository)?.to_owned()),
        _ => commit.clone(),
    };
    let actor = reader.text("/sender/login").or(reader.text("/pusher/name")).unwrap_or_default();
    let app = ["/check_run/app/id", "/check_suite/app/id"];
    Ok(Start {
        event: kind.as_str().to_owned(),
        action: reader.text("/action").map(str::to_owned),
        diff: diff(kind, reader, &reference, pull.as_ref())?,
        reference,
        commit,
        workflows_from,
        // Code of the default branch is ours, whoever the pull request is from.
        is_fork: *kind != EventKind::PullRequestTarget && pull.as_ref().is_some_and(|pull| pull.is_fork),
        pull_request: pull,
        actor: actor.to_owned(),
        head_message: head_message(reader).map(str::to_owned),
        workflow: (*kind == EventKind::WorkflowDispatch)
            .then(|| reader.text("/workflow").map(str::to_owned))
            .flatten(),
        app: app.iter().find_map(|pointer| reader.payload.pointer(pointer).and_then(Json::as_u64)),
    })
}

/// `GITHUB_REF`.
fn reference(kind: &EventKind, reader: &Reader<'_>, repository: &RepositoryRef) -> Result<String, ReadError> {
    let reference = match (EventRef::of(kind.as_str(), reader.payload), kind) {
        (EventRef::Named(reference), _) => reference,
        // A bare commit was deployed.
        (EventRef::Unsaid, EventKind::Deployment | EventKind::DeploymentStatus) => return Ok(String::new()),
        (EventRef::DefaultBranch, _) | (EventRef::Unsaid, EventKind::RegistryPackage) => {
            branch(default_branch(reader, repository)?)
        }
        (EventRef::Unsaid, _) => return Err(reader.missing("ref")),
    };
    if is_ref_name(&reference) { Ok(reference) } else { Err(reader.wrong("ref", &reference)) }
}

fn default_branch<'a>(reader: &Reader<'_>, repository: &'a RepositoryRef) -> Result<&'a str, ReadError> {
    let field = "repository/default_branch";
    let name = repository.default_branch.as_deref().ok_or_else(|| reader.missing(field))?;
    if is_ref_name(&branch(name)) { Ok(name) } else { Err(reader.wrong(field, name)) }
}

/// `GITHUB_SHA`.
fn commit(
    kind: &EventKind,
    reader: &Reader<'_>,
    reference: &str,
    pull: Option<&PullRequest>,
) -> Result<CommitSpec, ReadError> {
    match (kind, pull) {
        (EventKind::Push, _) => pushed(reader).map(CommitSpec::Sha),
        (EventKind::MergeGroup, _) => reader.commit("/merge_group/head_sha").map(CommitSpec::Sha),
        (EventKind::Deployment | EventKind::DeploymentStatus, _) => {
            reader.commit("/deployment/sha").map(CommitSpec::Sha)
        }
        (EventKind::RegistryPackage, _) => {
            match reader.text("/registry_package/package_version/target_oid") {
                Some(sha) if is_commit(sha) => Ok(CommitSpec::Sha(sha.to_owned())),
                _ => last_of(reader, reference),
            }
        }
        (EventKind::PullRequestTarget, _) | (_, None) => last_of(reader, reference),
        (_, Some(pull)) => Ok(pull_specs(kind, reader, pull)),
    }
}

/// The commit that was pushed. Of an annotated tag `after` names the tag, and the head commit what is tagged.
fn pushed(reader: &Reader<'_>) -> Result<String, ReadError> {
    match reader.text("/head_commit/id") {
        Some(_) => reader.commit("/head_commit/id"),
        None => reader.commit("/after"),
    }
}

fn last_of(reader: &Reader<'_>, reference: &str) -> Result<CommitSpec, ReadError> {
    if let Some(name) = reference.strip_prefix("refs/heads/") {
        Ok(CommitSpec::Branch(name.to_owned()))
    } else if let Some(name) = reference.strip_prefix("refs/tags/") {
        Ok(CommitSpec::Tag(name.to_owned()))
    } else {
        Err(reader.wrong("ref", reference))
    }
}

fn diff(
    kind: &EventKind,
    reader: &Reader<'_>,
    reference: &str,
    pull: Option<&PullRequest>,
) -> Result<Diff, ReadError> {
    Ok(match (kind, pull) {
        // Path filters are not for tags.
        (EventKind::Push, _) if reference.starts_with("refs/heads/") => Diff::Push {
            before: reader.text("/before").unwrap_or(crate::commit::NO_COMMIT).to_owned(),
            after: reader.commit("/after")?,
            first: reader.text("/commits/0/id").filter(|sha| is_commit(sha)).map(str::to_owned),
            created: reader.payload["created"] == true,
            forced: reader.payload["forced"] == true,
        },
        (EventKind::PullRequest | EventKind::PullRequestTarget, Some(pull)) => {
            Diff::Pull { base: pull.base_sha.clone(), head: pull.head_sha.clone() }
        }
        _ => Diff::None,
    })
}

fn head_message<'a>(reader: &Reader<'a>) -> Option<&'a str> {
    reader.text("/head_commit/message").or(reader.text("/merge_group/head_commit/message"))
}
