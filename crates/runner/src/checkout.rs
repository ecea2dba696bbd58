//! The built-in `actions/checkout`.
//!
//! It takes the tree that the run is about straight from the host, with uncommitted changes, and
//! needs neither network nor Node.js. Its inputs and outputs are those of
//! <https://github.com/actions/checkout> v4 and later.

mod credentials;
mod request;
mod unsafe_pull_request;

use guest::client::GuestError;
use serde_json::Value as Json;

use crate::CheckoutRequest;
use crate::action::ActionInstance;
use crate::job::{JobRun, WorkError};
use crate::source::basic;
use crate::step::{Frame, Stage, StepRun, WorkEnd};
use credentials::Credentials;
use request::{at_hand, input, is_true, request, target};
pub(crate) use request::{is_checkout, manifest};
use unsafe_pull_request::Asked;

/// Largest of git's own files that is read to find the commit: 16 MiB of packed references are some 200,000.
const GIT_FILE_BYTES: u64 = 16 * 1024 * 1024;

impl JobRun<'_> {
    /// Fills the workspace, or the folder that `path` names; as a post, removes the credentials from it.
    pub(crate) async fn run_checkout(
        &mut self,
        frame: &mut Frame,
        instance: &mut ActionInstance,
        run: &StepRun,
    ) -> Result<WorkEnd, WorkError> {
        if run.stage == Stage::Post {
            self.forget(instance, run).await?;
            return Ok(WorkEnd::Success);
        }
        let own = run.github.get("repository").and_then(Json::as_str).unwrap_or_default();
        let inputs = &run.inputs;
        let request = request(inputs, own).map_err(WorkError::Step)?;
        let shown = if request.repository.is_empty() { own } else { &request.repository };
        let credentials = Credentials::of(inputs, shown).map_err(WorkError::Step)?;
        self.refuse_forks(shown, &request, instance, run)?;
        let target = target(input(inputs, "path"), &self.place.workspace).map_err(WorkError::Step)?;
        self.log.note(run.at, &format!("Syncing repository: {shown}"));
        tokio::select! {
            unpacked = self.unpack(&request, shown, &target, is_true(input(inputs, "clean"))) => unpacked?,
            reason = run.stop.stopped() => return Ok(self.stopped(reason, run)),
        }
        let (reference, commit) = self.head(&target, &request, run).await?;
        if let Some(credentials) = credentials {
            self.persist(&credentials, &target, instance).await?;
        }
        self.set_output(frame, run, "ref", &reference);
        self.set_output(frame, run, "commit", &commit);
        let is_commit = commit.bytes().any(|byte| byte != b'0');
        let head =
            if is_commit { format!("HEAD is now at {commit}") } else { "There is no commit yet".to_owned() };
        self.log.note(run.at, &head);
        Ok(WorkEnd::Success)
    }

    /// Keeps what a step is let in with out of the log, secret or not, in the form too in which git sends it.
    pub(crate) fn hide_credentials(&self, run: &StepRun) {
        let secret = |name: &str| Some(input(&run.inputs, name)).filter(|text| !text.is_empty());
        if let Some(token) = secret("token") {
            self.log.masker.add(token);
            self.log.masker.add(&basic(token));
        }
        if let Some(key) = secret("ssh-key") {
            self.log.masker.add(key);
        }
    }

    fn refuse_forks(
        &self,
        repository: &str,
        request: &CheckoutRequest,
        instance: &ActionInstance,
        run: &StepRun,
    ) -> Result<(), WorkError> {
        let is_default = request.repository.is_empty() && request.reference.is_empty();
        let origin = instance.action.as_ref().and_then(|action| action.origin.as_ref());
        let is_guarded = origin.is_none_or(|(_, version)| unsafe_pull_request::is_guarded(version));
        if is_default || !is_guarded || is_true(input(&run.inputs, "allow-unsafe-pr-checkout")) {
            return Ok(());
        }
        let event_name = run.github.get("event_name").and_then(Json::as_str).unwrap_or_default();
        let event = &self.job.contexts.github["event"];
        let asked = Asked { event_name, event, repository, reference: &request.reference };
        match asked.is_unsafe() {
            true => Err(WorkError::Step(unsafe_pull_request::refusal(event_name))),
            false => Ok(()),
        }
    }

    /// Puts the tree in its place. Without `clean`, files that are none of the repository's stay.
    async fn unpack(
        &mut self,
        request: &CheckoutRequest,
        shown: &str,
        target: &str,
        clean: bool,
    ) -> Result<(), WorkError> {
        let Some(source) = self.services.checkout.clone() else {
            return Err(WorkError::Step("the built-in actions/checkout is switched off".to_owned()));
        };
        let asked = at_hand(request, &self.job.contexts.github["event"]);
        let archive = source.archive(&asked).await.map_err(|error| WorkError::Step(error.to_string()))?;
        let archive = archive.ok_or_else(|| {
            WorkError::Step(format!(
                "The built-in actions/checkout can't get {shown}: it is neither the repository of this run nor \
                 within reach. Use --real-checkout to run the action itself."
            ))
        })?;
        // Like the action, which starts anew where there is no clone of the repository to go on with.
        let before = self.actions.checked_out.insert(target.to_owned(), shown.to_owned());
        if !clean && before.as_deref() == Some(shown) {
            self.guest.remove(&format!("{target}/.git")).await?;
        } else {
            self.guest.remove(target).await?;
        }
        self.guest.make_dir(target).await?;
        Ok(self.guest.archive_in(target, archive).await?)
    }

    /// What was checked out: the reference asked for, and the commit that `.git/HEAD` names.
    async fn head(
        &self,
        target: &str,
        request: &CheckoutRequest,
        run: &StepRun,
    ) -> Result<(String, String), WorkError> {
        let context = |key: &str| {
            let value = run.github.get(key).and_then(Json::as_str);
            value.unwrap_or_default().to_owned()
        };
        let own = request.repository.is_empty();
        let reference = match request.reference.as_str() {
            "" if own => context("ref"),
            // Like the action, which asks for the default branch and goes on with its name.
            "" => self.head_name(target).await?.unwrap_or_default(),
            reference => reference.to_owned(),
        };
        let commit = self.resolve_head(target).await?;
        let fallback = if own && request.reference.is_empty() { context("sha") } else { String::new() };
        Ok((reference, commit.unwrap_or(fallback)))
    }

    /// The full name of the branch that is checked out.
    async fn head_name(&self, target: &str) -> Result<Option<String>, WorkError> {
        let head = self.read_small(&format!("{target}/.git/HEAD")).await?;
        Ok(head.and_then(|head| head.trim().strip_prefix("ref: ").map(str::to_owned)))
    }

    /// Follows `.git/HEAD` to a commit.
    async fn resolve_head(&self, target: &str) -> Result<Option<String>, WorkError> {
        let Some(head) = self.read_small(&format!("{target}/.git/HEAD")).await? else { return Ok(None) };
        let Some(name) = head.trim().strip_prefix("ref: ") else { return Ok(Some(head.trim().to_owned())) };
        if let Some(commit) = self.read_small(&format!("{target}/.git/{name}")).await? {
            return Ok(Some(commit.trim().to_owned()));
        }
        let packed = self.read_small(&format!("{target}/.git/packed-refs")).await?.unwrap_or_default();
        let line = packed.lines().find(|line| line.split(' ').nth(1) == Some(name));
        Ok(line.and_then(|line| line.split(' ').next()).map(str::to_owned))
    }

    async fn read_small(&self, path: &str) -> Result<Option<String>, WorkError> {
        match self.guest.read_file(path, GIT_FILE_BYTES).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(GuestError::Refused { .. } | GuestError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
