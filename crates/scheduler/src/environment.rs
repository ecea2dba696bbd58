//! Environments: who lets a job into one, after how long, and from which branches and tags it may come.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments#deployment-protection-rules>

use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::record::{Attempt, Run};
use store::{Change, Store, StoreError};
use workflow::trigger::Pattern;

/// Most names and patterns of each kind that one environment has: a page that shows them stays readable.
const ENTRIES: usize = 100;

/// Longest name of an environment, in bytes: GitHub's bound.
/// <https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/manage-environments>
const NAME_BYTES: usize = 255;

/// Longest wait before an environment, in minutes: GitHub's bound, 30 days.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments#wait-timer>
pub const LONGEST_WAIT_MINUTES: u32 = 43_200;

/// Longest pattern or name of a person, in bytes: no ref is longer.
const ENTRY_BYTES: usize = 255;

/// The rules of one environment. One that has none, or that nobody has configured, lets every job in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Its name; compared without case.
    pub name: String,
    /// Whether somebody must let each job in.
    #[serde(default)]
    pub approval: bool,
    /// Who may, by the names of their tokens, or `@login` of who signs in at the forge; if nobody is named, all who may
    /// operate the server.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// Whether whoever has caused a run, or had it run again, may not let its jobs in.
    #[serde(default)]
    pub prevent_self_review: bool,
    /// How long each job waits from when it could have begun.
    #[serde(default)]
    pub wait_minutes: u32,
    /// Branches that jobs may come from, as patterns (`release/**`); other refs by their whole names.
    #[serde(default)]
    pub branches: Vec<String>,
    /// Tags that jobs may come from. Without branches and tags they come from anywhere.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// How a job stands before its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may begin.
    Open,
    /// Somebody must let it in.
    Approval,
    /// Time lets it in, then.
    Wait(Timestamp),
    /// It never may, for this reason.
    Closed(String),
}

/// What somebody decides about a job that waits to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is let in.
    Approve,
    /// It is not: it ends as failed.
    Reject,
}

/// Why somebody may not decide so about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// Others are the reviewers.
    NoReviewer,
    /// They have caused the run, and somebody else's word is asked for.
    OwnRun,
}

impl Environment {
    /// What is wrong with the rules, if anything is.
    ///
    /// # Errors
    /// The first problem, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > NAME_BYTES || self.name.chars().any(char::is_control) {
            return Err(format!("the name of an environment has 1 to {NAME_BYTES} bytes on one line"));
        }
        if !self.approval && !self.reviewers.is_empty() {
            return Err("`reviewers` are for an environment with `approval`".to_owned());
        }
        if !self.approval && self.prevent_self_review {
            return Err("`prevent_self_review` is for an environment with `approval`".to_owned());
        }
        if self.wait_minutes > LONGEST_WAIT_MINUTES {
            return Err(format!("`wait_minutes` are at most {LONGEST_WAIT_MINUTES}, 30 days"));
        }
        for (what, entries) in
            [("reviewers", &self.reviewers), ("branches", &self.branches), ("tags", &self.tags)]
        {
            if entries.len() > ENTRIES {
                return Err(format!("`{what}` has more than {ENTRIES} entries"));
            }
            let is_wrong = |entry: &&String| entry.trim().is_empty() || entry.len() > ENTRY_BYTES;
            if entries.iter().any(|entry| is_wrong(&entry)) {
                return Err(format!("each of `{what}` has 1 to {ENTRY_BYTES} bytes"));
            }
        }
        for pattern in self.branches.iter().chain(&self.tags) {
            match Pattern::new(pattern) {
                Ok(read) if read.negates() => {
                    return Err(format!("the pattern {pattern:?} begins with !, which has no meaning here"));
                }
                Ok(_) => {}
                Err(error) => return Err(format!("the pattern {pattern:?} is none: {error}")),
            }
        }
        Ok(())
    }

    /// Whether somebody of this name may let jobs in.
    #[must_use]
    pub fn may_approve(&self, actor: &str) -> bool {
        self.reviewers.is_empty() || self.reviewers.iter().any(|name| name.eq_ignore_ascii_case(actor))
    }

    /// Until when a job waits that could have begun then.
    fn waits_until(&self, since: Timestamp) -> Option<Timestamp> {
        let wait = Duration::from_secs(60) * self.wait_minutes;
        (!wait.is_zero()).then(|| since.after(wait))
    }

    fn gate(&self, reference: &str, since: Timestamp) -> Gate {
        if !self.lets_in(reference) {
            let (kind, name) = match reference.strip_prefix("refs/tags/") {
                Some(tag) => ("Tag", tag),
                None => ("Branch", reference.strip_prefix("refs/heads/").unwrap_or(reference)),
            };
            let environment = &self.name;
            return Gate::Closed(format!(
                "{kind} \"{name}\" is not allowed to deploy to {environment} due to environment protection rules."
            ));
        }
        match self.waits_until(since) {
            _ if self.approval => Gate::Approval,
            Some(until) => Gate::Wait(until),
            None => Gate::Open,
        }
    }

    fn lets_in(&self, reference: &str) -> bool {
        if self.branches.is_empty() && self.tags.is_empty() {
            return true;
        }
        // What is no branch and no tag, as a deployment of a bare commit is.
        if reference.is_empty() {
            return false;
        }
        let (patterns, name) = match reference.strip_prefix("refs/tags/") {
            Some(tag) => (&self.tags, tag),
            None => (&self.branches, reference.strip_prefix("refs/heads/").unwrap_or(reference)),
        };
        // They were checked when they were set.
        patterns.iter().any(|pattern| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name)))
    }
}

/// The rules of this environment among those of its repository, if somebody has made some.
#[must_use]
pub fn named<'a>(all: &'a [Environment], name: &str) -> Option<&'a Environment> {
    all.iter().find(|environment| environment.name.eq_ignore_ascii_case(name))
}

/// Why this actor may not decide so about a job of a run that [these](causes) have caused, if they may not.
#[must_use]
pub fn objection(
    rules: Option<&Environment>,
    actor: &str,
    decision: Decision,
    causes: &[&str],
) -> Option<Objection> {
    let rules = rules?;
    if !rules.may_approve(actor) {
        return Some(Objection::NoReviewer);
    }
    // Who signs in at the forge is `@login` here.
    let plain = |name: &str| name.trim_start_matches('@').to_ascii_lowercase();
    let is_own = || causes.iter().any(|cause| plain(cause) == plain(actor));
    let asks_others = rules.prevent_self_review && decision == Decision::Approve;
    (asks_others && is_own()).then_some(Objection::OwnRun)
}

/// Who has caused a run, or had it run again the last time. All its attempts are given, in order.
#[must_use]
pub fn causes<'a>(run: &'a Run, attempts: &'a [Attempt]) -> Vec<&'a str> {
    let latest = attempts.last().map(|attempt| attempt.actor.as_str());
    std::iter::once(run.what.actor.as_str()).chain(latest).collect()
}

/// How a job stands that runs for this ref, and could have begun `since` then.
#[must_use]
pub fn gate(all: &[Environment], name: Option<&str>, reference: &str, since: Timestamp) -> Gate {
    let environment = name.and_then(|name| named(all, name));
    environment.map_or(Gate::Open, |environment| environment.gate(reference, since))
}

/// How a job stands that has waited for its time: the rules may be others by now. One that `is_approved` needs nobody's
/// word any more.
pub(crate) fn gate_by_now(
    all: &[Environment],
    name: Option<&str>,
    reference: &str,
    since: Timestamp,
    is_approved: bool,
    now: Timestamp,
) -> Gate {
    // What began to wait later than now did so before the clock was set back.
    let since = since.min(now);
    let left = waits_until(all, name, since).filter(|until| *until > now);
    match (gate(all, name, reference, since), left) {
        (Gate::Approval, _) if !is_approved => Gate::Approval,
        (Gate::Closed(reason), _) => Gate::Closed(reason),
        (_, Some(until)) => Gate::Wait(until),
        (_, None) => Gate::Open,
    }
}

/// Until when a job waits before its environment that could have begun then, if it has to.
#[must_use]
pub fn waits_until(all: &[Environment], name: Option<&str>, since: Timestamp) -> Option<Timestamp> {
    name.and_then(|name| named(all, name)).and_then(|environment| environment.waits_until(since))
}

/// A moment for people, `2026-11-22 12:30:05 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    let at = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    at.map_or_else(|| "the end of time".to_owned(), |at| at.strftime("%F %T UTC").to_string())
}

/// The environments that have rules, by name, of the repository whose things are kept at this
/// [place](store::record::Repository::place). It may be one that nobody has heard of yet.
///
/// # Errors
/// The store can't be read, or what it has are no rules: then nobody knows whether a job may begin.
pub async fn of_place(store: &dyn Store, place: &str) -> Result<Vec<Environment>, StoreError> {
    let found = store.settings(&prefix(place)).await?.into_iter();
    let read = |(key, value): (String, Json)| {
        Environment::deserialize(value).map_err(|error| StoreError::Failed {
            operation: format!("read the rules of {key}"),
            reason: format!("{error}; set them again"),
        })
    };
    found.map(read).collect()
}

/// Whether something is kept as the rules of an environment, be they such that can't be read.
///
/// # Errors
/// The store can't be read.
pub async fn has_rules(store: &dyn Store, place: &str, name: &str) -> Result<bool, StoreError> {
    Ok(store.setting(&key(place, name)).await?.is_some())
}

/// Sets the rules of an environment.
#[must_use]
pub fn set(place: &str, environment: &Environment) -> Change {
    let value = serde_json::to_value(environment).unwrap_or_default();
    Change::Setting { key: key(place, &environment.name), value }
}

/// Takes the rules of an environment away.
#[must_use]
pub fn remove(place: &str, name: &str) -> Change {
    Change::Setting { key: key(place, name), value: Json::Null }
}

fn prefix(place: &str) -> String {
    format!("environment/{}/", place.to_ascii_lowercase())
}

fn key(place: &str, name: &str) -> String {
    format!("{}{}", prefix(place), name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_800_000_000_000);

    fn production() -> Environment {
        Environment {
            name: "Production".to_owned(),
            branches: vec!["main".to_owned(), "release/**".to_owned()],
            tags: vec!["v*".to_owned()],
            ..Environment::default()
        }
    }

    #[test]
    fn a_job_comes_in_from_the_branches_and_tags_that_are_named() {
        let all = [production()];
        let stands = |reference: &str| gate(&all, Some("production"), reference, NOON);
        for let_in in ["refs/heads/main", "refs/heads/release/1/2", "refs/tags/v1"] {
            assert_eq!(stands(let_in), Gate::Open, "{let_in}");
        }
        let closed =
            "Branch \"topic\" is not allowed to deploy to Production due to environment protection rules.";
        assert_eq!(stands("refs/heads/topic"), Gate::Closed(closed.to_owned()));
        for kept_out in ["refs/heads/v1", "refs/tags/main", "refs/pull/7/merge", "refs/heads/maint"] {
            assert!(matches!(stands(kept_out), Gate::Closed(_)), "{kept_out}");
        }
        let pulls = [Environment { branches: vec!["refs/pull/*/merge".to_owned()], ..production() }];
        assert_eq!(gate(&pulls, Some("production"), "refs/pull/7/merge", NOON), Gate::Open);
    }

    #[test]
    fn who_must_be_let_in_waits_unless_the_ref_keeps_it_out_anyway() {
        let all = [Environment { approval: true, ..production() }];
        let stands = |name, reference: &str| gate(&all, name, reference, NOON);
        assert_eq!(stands(Some("PRODUCTION"), "refs/heads/main"), Gate::Approval);
        assert!(matches!(stands(Some("production"), "refs/heads/topic"), Gate::Closed(_)));
        assert_eq!(stands(Some("staging"), "refs/heads/topic"), Gate::Open, "nobody configured it");
        assert_eq!(stands(None, "refs/heads/topic"), Gate::Open);
    }

    #[test]
    fn a_wait_counts_from_when_the_job_could_have_begun() {
        let all = [Environment { wait_minutes: 90, ..production() }];
        let until = Timestamp(NOON.0 + 90 * 60 * 1000);
        assert_eq!(gate(&all, Some("production"), "refs/heads/main", NOON), Gate::Wait(until));
        assert_eq!(waits_until(&all, Some("production"), NOON), Some(until));
        assert!(matches!(gate(&all, Some("production"), "refs/heads/topic", NOON), Gate::Closed(_)));
        assert_eq!(waits_until(&[production()], Some("production"), NOON), None);
    }

    #[test]
    fn whose_time_has_come_is_let_in_if_the_rules_ask_for_no_more_by_now() {
        let now = NOON.after(Duration::from_secs(60 * 60));
        let stands = |rules: Environment, since, is_approved| {
            gate_by_now(&[rules], Some("production"), "refs/heads/main", since, is_approved, now)
        };
        let wait = |wait_minutes| Environment { wait_minutes, ..production() };
        let asks = |wait_minutes| Environment { approval: true, ..wait(wait_minutes) };
        assert_eq!(stands(wait(60), NOON, false), Gate::Open);
        assert_eq!(stands(wait(90), NOON, false), Gate::Wait(NOON.after(Duration::from_secs(90 * 60))));
        assert_eq!(stands(asks(60), NOON, false), Gate::Approval, "nobody was asked yet");
        assert_eq!(stands(asks(60), NOON, true), Gate::Open);
        assert_eq!(stands(asks(90), NOON, true), Gate::Wait(NOON.after(Duration::from_secs(90 * 60))));
        let ahead = now.after(Duration::from_secs(86_400));
        let anew = Gate::Wait(now.after(Duration::from_secs(60 * 60)));
        assert_eq!(stands(wait(60), ahead, false), anew, "the clock was set back");
        let closed = Environment { branches: vec!["release/**".to_owned()], ..wait(0) };
        assert!(matches!(stands(closed, NOON, true), Gate::Closed(_)));
    }

    #[test]
    fn who_is_named_lets_jobs_in_and_without_names_everybody_who_operates() {
        let named = Environment { approval: true, reviewers: vec!["Mona".to_owned()], ..production() };
        assert!(named.may_approve("mona") && !named.may_approve("eve"));
        assert!(Environment { approval: true, ..production() }.may_approve("eve"));
        assert_eq!(named.check(), Ok(()));
    }

    #[test]
    fn who_has_caused_a_run_may_keep_its_jobs_out_and_not_let_them_in() {
        let rules = Environment { approval: true, prevent_self_review: true, ..production() };
        let may = |actor, decision| objection(Some(&rules), actor, decision, &["mona", "@ada"]);
        for own in ["mona", "@Mona", "ada"] {
            assert_eq!(may(own, Decision::Approve), Some(Objection::OwnRun), "{own}");
            assert_eq!(may(own, Decision::Reject), None, "{own}");
        }
        assert_eq!(may("eve", Decision::Approve), None);
        let others = Environment { reviewers: vec!["hubot".to_owned()], ..rules.clone() };
        let no_reviewer = objection(Some(&others), "eve", Decision::Reject, &["mona"]);
        assert_eq!(no_reviewer, Some(Objection::NoReviewer));
    }

    #[test]
    fn rules_that_can_not_be_meant_are_refused_with_what_is_wrong() {
        let list = |text: &str| vec![text.to_owned()];
        for (wrong, words) in [
            (Environment::default(), "name of an environment"),
            (Environment { name: "a\nb".to_owned(), ..production() }, "name of an environment"),
            (Environment { reviewers: list("mona"), ..production() }, "with `approval`"),
            (Environment { prevent_self_review: true, ..production() }, "with `approval`"),
            (Environment { wait_minutes: 43_201, ..production() }, "at most 43200"),
            (Environment { branches: list("["), ..production() }, "the pattern"),
            (Environment { tags: list("!v1"), ..production() }, "begins with !"),
            (Environment { tags: list(" "), ..production() }, "`tags` has 1 to"),
            (Environment { branches: vec!["a".to_owned(); 101], ..production() }, "more than 100"),
        ] {
            let problem = wrong.check().unwrap_err();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
