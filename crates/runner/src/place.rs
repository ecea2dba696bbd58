//! Where a job's folders and files are inside of its machine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use guest::client::{Guest, GuestError, Info, NewFile};
use machine::Layout;
use serde_json::Value as Json;

use crate::command_file::CommandFile;

/// A longer event is written by itself: one message to the machine is bounded to 4 MiB.
const SMALL_EVENT_BYTES: usize = 1024 * 1024;

/// The folders of one job.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `GITHUB_WORKSPACE`.
    pub(crate) workspace: String,
    /// `RUNNER_WORKSPACE`: the folder above it.
    pub(crate) runner_workspace: String,
    /// `RUNNER_TEMP`.
    pub(crate) temp: String,
    /// Folder of the command files.
    command_files: String,
    /// `RUNNER_TOOL_CACHE`.
    pub(crate) tool_cache: String,
    /// Where actions are unpacked.
    pub(crate) actions: String,
    /// `GITHUB_EVENT_PATH`.
    pub(crate) event: String,
    /// Home of the user that runs the job.
    pub(crate) home: String,
}

impl Place {
    /// The folders of a job of this repository (`owner/name`).
    pub(crate) fn new(layout: &Layout, repository: &str) -> Place {
        let name = repository.rsplit('/').next().unwrap_or_default();
        let usable = !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
        let name = if usable { name } else { "workspace" };
        let work = layout.work.trim_end_matches('/');
        let temp = layout.temp.trim_end_matches('/');
        Place {
            workspace: format!("{work}/{name}/{name}"),
            runner_workspace: format!("{work}/{name}"),
            temp: temp.to_owned(),
            command_files: layout.command_files(),
            tool_cache: layout.tool_cache.clone(),
            actions: format!("{work}/_actions"),
            event: format!("{temp}/_github_workflow/event.json"),
            home: layout.home.clone(),
        }
    }

    /// Makes the folders and writes the event.
    pub(crate) async fn prepare(&self, guest: &Guest, event: &Json) -> Result<(), GuestError> {
        let folders = [&self.workspace, &self.temp, &self.tool_cache, &self.home].map(String::clone);
        let event = if event.is_null() { "{}".to_owned() } else { format!("{event:#}") };
        let event = NewFile { path: self.event.clone(), mode: 0o644, data: event.into() };
        if event.data.len() <= SMALL_EVENT_BYTES {
            return guest.create(folders.into(), vec![event]).await;
        }
        guest.create(folders.into(), Vec::new()).await?;
        guest.write_file(&event.path, event.mode, event.data).await
    }

    /// Paths of the command files of the step with this suffix, by their key in the `github` context.
    pub(crate) fn command_files(&self, unique: &str) -> [(CommandFile, String); 5] {
        CommandFile::ALL.map(|file| (file, format!("{}/{}", self.command_files, file.file_name(unique))))
    }

    /// Where the script of a step is: with the command files, which are as small and as short-lived.
    pub(crate) fn script(&self, name: &str) -> String {
        format!("{}/{name}", self.command_files)
    }

    /// A path that a step gives, from the workspace on.
    pub(crate) fn in_workspace(&self, path: &str) -> String {
        match path {
            "" => self.workspace.clone(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{}/{path}", self.workspace),
        }
    }
}

/// Names that no earlier step of the job has used.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames {
    next: AtomicU64,
}

impl UniqueNames {
    /// The next one.
    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number:04}", std::process::id())
    }
}

/// Finds programs in the machine as its shells would, and remembers them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    found: HashMap<(Vec<String>, String), String>,
}

impl Programs {
    /// The first of `names` that is a program in `path`.
    pub(crate) async fn find(
        &mut self,
        guest: &Guest,
        names: &[String],
        path: &str,
    ) -> Result<Option<String>, GuestError> {
        let key = (names.to_vec(), path.to_owned());
        if let Some(known) = self.found.get(&key) {
            return Ok(Some(known.clone()));
        }
        let found = guest.find_program(names, path).await?;
        if let Some(found) = &found {
            self.found.insert(key, found.clone());
        }
        Ok(found)
    }
}

/// The `runner` context.
pub(crate) fn runner_context(place: &Place, info: &Info, name: &str, debug: bool) -> Json {
    let mut runner = serde_json::json!({
        "name": name,
        "os": "Linux",
        "arch": crate::environment::runner_arch(&info.arch),
        "environment": "self-hosted",
        "temp": place.temp,
        "tool_cache": place.tool_cache,
        "workspace": place.runner_workspace,
    });
    if debug {
        runner["debug"] = "1".into();
    }
    runner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(repository: &str) -> Place {
        let layout = Layout {
            home: "/home/runner".to_owned(),
            work: "/home/runner/work".to_owned(),
            temp: "/home/runner/work/_temp".to_owned(),
            tool_cache: "/opt/hostedtoolcache".to_owned(),
        };
        Place::new(&layout, repository)
    }

    #[test]
    fn folders_are_where_github_has_them() {
        let place = place("octo/app");
        assert_eq!(place.workspace, "/home/runner/work/app/app");
        assert_eq!(place.runner_workspace, "/home/runner/work/app");
        assert_eq!(place.event, "/home/runner/work/_temp/_github_workflow/event.json");
        assert_eq!(place.in_workspace("a/b"), "/home/runner/work/app/app/a/b");
        assert_eq!(place.in_workspace("/etc"), "/etc");
    }

    #[test]
    fn a_repository_without_a_usable_name_gets_one() {
        for repository in ["", "octo/", "octo/.."] {
            assert_eq!(place(repository).workspace, "/home/runner/work/workspace/workspace");
        }
    }
}
