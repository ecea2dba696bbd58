//! Brings actions into the machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guest::client::{GuestError, RefusalKind};
use model::{ActionRef, Step, StepWork};

use super::manifest::{MANIFEST_BYTES, MANIFEST_FILES};
use super::{LoadedAction, Manifest, Runs};
use crate::CheckoutRequest;
use crate::archive_stream::ArchiveStream;
use crate::checkout;
use crate::job::{JobRun, MachineFailure, SET_UP, WorkError};
use crate::step::StepRun;

/// Actions within actions that are fetched in advance; running them has a limit of its own.
const FETCH_DEPTH: usize = 10;

/// When actions are fetched, which says whose fault it is that the host of one is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchedWhen {
    /// Before the first step: the job has done nothing yet, and another machine may begin it anew.
    SetUp,
    /// For a step that runs: those before it have done their work, which nobody may do again.
    Step,
}

impl FetchedWhen {
    fn away(self, message: String) -> WorkError {
        match self {
            FetchedWhen::SetUp => WorkError::Machine(MachineFailure(message)),
            FetchedWhen::Step => WorkError::Step(message),
        }
    }
}

impl JobRun<'_> {
    /// Fetches every remote action that these steps use, and those that these use in turn.
    pub(crate) async fn fetch_actions(&mut self, steps: &[Step], when: FetchedWhen) -> Result<(), WorkError> {
        let mut wanted: Vec<(ActionRef, usize)> = Vec::new();
        let uses = |steps: &[Step], depth: usize| -> Vec<(ActionRef, usize)> {
            let uses = steps.iter().filter_map(|step| match &step.work {
                StepWork::Action {
                    uses: uses @ (ActionRef::Repository { .. } | ActionRef::Own(_)), ..
                } => Some((uses.clone(), depth)),
                _ => None,
            });
            uses.collect()
        };
        wanted.extend(uses(steps, 0));
        while let Some((action, depth)) = wanted.pop() {
            if self.actions.loaded.contains_key(&action) {
                continue;
            }
            if depth > FETCH_DEPTH {
                return Err(WorkError::Step(format!(
                    "Unable to resolve action `{action}`: actions use each other {FETCH_DEPTH} levels deep"
                )));
            }
            let loaded = Arc::new(self.fetch(&action, when).await?);
            if let Runs::Composite(steps) = &loaded.manifest.runs {
                wanted.extend(uses(steps, depth + 1));
            }
            self.actions.loaded.insert(action, loaded);
        }
        Ok(())
    }

    /// The action that a step is about to run.
    pub(super) async fn load_action(
        &mut self,
        uses: &ActionRef,
        run: &StepRun,
    ) -> Result<Arc<LoadedAction>, WorkError> {
        match uses {
            ActionRef::Repository { .. } | ActionRef::Own(_) => match self.actions.loaded.get(uses) {
                Some(action) => Ok(action.clone()),
                None => {
                    Err(WorkError::Step(format!("Unable to resolve action `{uses}`: it was not fetched")))
                }
            },
            ActionRef::Local(path) => self.load_local(path, run).await,
            ActionRef::Docker(image) => Err(WorkError::Step(format!(
                "docker://{image} needs a machine with a container engine; none of Hearth's machines has one yet."
            ))),
        }
    }

    async fn load_local(&mut self, path: &str, run: &StepRun) -> Result<Arc<LoadedAction>, WorkError> {
        let relative = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
        let folder = match relative {
            "" | "." => self.place.workspace.clone(),
            relative => format!("{}/{relative}", self.place.workspace),
        };
        let manifest = self.read_manifest(&folder, LOCAL_HINT).await?;
        if let Runs::Node(node) = &manifest.runs
            && node.pre.is_some()
        {
            let warning = format!("`pre` execution is not supported for local action from '{path}'");
            self.log.warning(run.at, warning);
        }
        if let Runs::Composite(steps) = &manifest.runs {
            Box::pin(self.fetch_actions(steps, FetchedWhen::Step)).await?;
        }
        Ok(Arc::new(LoadedAction { manifest, folder, origin: None }))
    }

    /// The manifest of an action in the machine. `hint` ends the message where there is none.
    async fn read_manifest(&self, folder: &str, hint: &str) -> Result<Manifest, WorkError> {
        for name in MANIFEST_FILES {
            let file = format!("{folder}/{name}");
            match self.guest.read_file(&file, MANIFEST_BYTES).await {
                Ok(bytes) => {
                    return Manifest::read(&String::from_utf8_lossy(&bytes), &file).map_err(WorkError::Step);
                }
                Err(GuestError::Refused { kind: RefusalKind::NotFound, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.guest.stat(&format!("{folder}/Dockerfile")).await?.is_some() {
            return Err(needs_engine(&format!("'{folder}'")));
        }
        Err(WorkError::Step(format!(
            "Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '{folder}'.{hint}"
        )))
    }

    async fn fetch(&mut self, action: &ActionRef, when: FetchedWhen) -> Result<LoadedAction, WorkError> {
        let (owner, repo, path, reference) = match action {
            ActionRef::Repository { owner, repo, path, reference } => (owner, repo, path, reference),
            ActionRef::Own(path) => return self.fetch_own(path).await,
            ActionRef::Local(_) | ActionRef::Docker(_) => {
                return Err(WorkError::Step(format!("{action} is not in a repository")));
            }
        };
        let origin = Some((format!("{owner}/{repo}"), reference.clone()));
        if self.services.checkout.is_some() && checkout::is_checkout(action) {
            return Ok(LoadedAction { manifest: checkout::manifest(), folder: String::new(), origin });
        }
        let folder = format!("{}/{owner}/{repo}/{}", self.place.actions, file_name(reference));
        let key = format!("{owner}/{repo}@{reference}");
        if self.actions.kept.contains(&key) {
            let folder = if path.is_empty() { folder } else { format!("{folder}/{path}") };
            let manifest = self.read_manifest(&folder, "").await?.beside(owner, repo, reference);
            return Ok(LoadedAction { manifest, folder, origin });
        }
        let fetched = self.services.actions.fetch(action).await.map_err(|error| {
            let message = format!("Unable to resolve action `{action}`: {}", error.reason);
            if error.may_pass { when.away(message) } else { WorkError::Step(message) }
        })?;
        let (text, file) = read_host_manifest(&fetched.tree, path, action)?;
        let manifest = Manifest::read(&text, &file).map_err(WorkError::Step)?.beside(owner, repo, reference);
        let mut unpacked = self.actions.unpacked.lock().await;
        if !unpacked.contains(&key) {
            let commit = &fetched.commit;
            self.log.note(
                SET_UP,
                &format!("Download action repository '{owner}/{repo}@{reference}' (SHA:{commit})"),
            );
            self.guest.make_dir(&folder).await?;
            self.guest.archive_in(&folder, pack(fetched.tree.clone())).await?;
            unpacked.insert(key);
        }
        let folder = if path.is_empty() { folder } else { format!("{folder}/{path}") };
        Ok(LoadedAction { manifest, folder, origin })
    }

    /// An action of the repository of the run, whose tree is unpacked once.
    async fn fetch_own(&mut self, path: &str) -> Result<LoadedAction, WorkError> {
        let context = |key: &str| self.job.contexts.github[key].as_str().unwrap_or_default();
        let (repository, commit) = (context("repository"), context("sha"));
        let folder = format!("{}/{repository}/{commit}", self.place.actions);
        let key = format!("{repository}@{commit}");
        let mut unpacked = self.actions.unpacked.lock().await;
        if !unpacked.contains(&key) && !self.actions.kept.contains(&key) {
            let tree = match &self.services.source {
                Some(source) => {
                    source.archive(&CheckoutRequest { fetch_depth: 1, ..Default::default() }).await
                }
                None => Ok(None),
            };
            let tree = tree.map_err(|error| WorkError::Step(error.to_string()))?.ok_or_else(|| {
                WorkError::Step(format!("Unable to resolve action `$/{path}`: {repository} is not at hand"))
            })?;
            self.log.note(SET_UP, &format!("Unpack this repository at {commit}, for `$/{path}`"));
            self.guest.make_dir(&folder).await?;
            self.guest.archive_in(&folder, tree).await?;
            unpacked.insert(key);
        }
        drop(unpacked);
        let origin = Some((repository.to_owned(), commit.to_owned()));
        let folder = if path.is_empty() { folder } else { format!("{folder}/{path}") };
        Ok(LoadedAction { manifest: self.read_manifest(&folder, "").await?, folder, origin })
    }
}

/// What people who use a local action tend to forget.
const LOCAL_HINT: &str = " Did you forget to run actions/checkout before running your local action?";

/// A reference as the name of one folder, or of several for `a/b`; never one above.
fn file_name(reference: &str) -> String {
    let parts = reference.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    parts.collect::<Vec<_>>().join("/")
}

/// Reads a file of a fetched tree, up to one byte more than a manifest may have. Neither a link nor `..` leads out of
/// the tree: what is outside does not exist.
fn read_inside(tree: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let (tree, file) = (tree.canonicalize()?, tree.join(path).canonicalize()?);
    if !file.starts_with(&tree) || !file.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MANIFEST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An action that is an image.
pub(super) fn needs_engine(action: &str) -> WorkError {
    WorkError::Step(format!(
        "The action {action} runs in a container, which needs a machine with a container engine; none of Hearth's \
         machines has one yet."
    ))
}

fn read_host_manifest(tree: &Path, path: &str, action: &ActionRef) -> Result<(String, String), WorkError> {
    for name in MANIFEST_FILES {
        match read_inside(tree, &Path::new(path).join(name)) {
            Ok(bytes) if bytes.len() as u64 <= MANIFEST_BYTES => {
                let shown = format!("{action}/{name}");
                return Ok((String::from_utf8_lossy(&bytes).into_owned(), shown));
            }
            Ok(_) => {
                let message = format!("{name} of action {action} has more than {MANIFEST_BYTES} bytes");
                return Err(WorkError::Step(message));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(WorkError::Step(format!("can't read {name} of action {action}: {error}")));
            }
        }
    }
    if tree.join(path).join("Dockerfile").exists() {
        return Err(needs_engine(&action.to_string()));
    }
    Err(WorkError::Step(format!(
        "Can't find 'action.yml', 'action.yaml' or 'Dockerfile' for action '{action}'."
    )))
}

/// Packs a folder of the host, without its `.git`.
fn pack(tree: PathBuf) -> ArchiveStream {
    ArchiveStream::packing(move |archive| {
        archive.follow_symlinks(false);
        pack_into(archive, &tree)
    })
}

fn pack_into(archive: &mut tar::Builder<impl io::Write>, tree: &Path) -> io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(tree)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name == ".git" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            archive.append_dir_all(&name, entry.path())?;
        } else {
            archive.append_path_with_name(entry.path(), &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_outside_of_the_tree_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(folder.path().join("action.yml"), "name: outside").unwrap();
        std::os::unix::fs::symlink("../action.yml", tree.join("action.yml")).unwrap();
        std::fs::write(tree.join("action.yaml"), "name: inside").unwrap();
        assert!(read_inside(&tree, Path::new("action.yml")).is_err());
        assert!(read_inside(&tree, Path::new("../action.yml")).is_err());
        assert_eq!(read_inside(&tree, Path::new("action.yaml")).unwrap(), b"name: inside");
    }

    #[test]
    fn of_a_manifest_that_is_too_large_no_more_is_read_than_tells_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("action.yml")).unwrap();
        file.set_len(1024 * MANIFEST_BYTES).unwrap();
        let read = read_inside(folder.path(), Path::new("action.yml")).unwrap();
        assert_eq!(read.len() as u64, MANIFEST_BYTES + 1);
    }

    #[test]
    fn a_reference_never_climbs_out_of_its_folder() {
        assert_eq!(file_name("v4"), "v4");
        assert_eq!(file_name("feature/x"), "feature/x");
        assert_eq!(file_name("../../etc"), "etc");
    }
}
