//! Control groups: what a machine may use of memory, processes and processors.
//!
//! The keeper makes one group for each hierarchy that it may write: the unified one
//! where it is delegated to it, the older ones as root. Where it may not, the machine
//! runs without, and says so.

use std::fs;
use std::path::{Path, PathBuf};

use super::wire::StageLimits;

/// The period in which a share of processor time is counted, in microseconds (the kernel's default).
const CPU_PERIOD_US: u64 = 100_000;

/// The groups of one machine.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    folders: Vec<PathBuf>,
}

/// One hierarchy as this process finds it.
struct Hierarchy {
    /// Where it is mounted.
    mount: PathBuf,
    /// This process's group in it.
    own: PathBuf,
    /// The controllers of an older hierarchy; empty for the unified one.
    controllers: Vec<String>,
}

/// A bound and the file of each generation that holds it.
struct Bound {
    name: &'static str,
    controller: &'static str,
    unified: (&'static str, String),
    older: Vec<(&'static str, String)>,
}

impl Groups {
    /// Makes the groups of machine `id`. The second value says which bounds could not be set.
    pub(crate) fn make(id: &str, limits: &StageLimits) -> (Groups, Vec<String>) {
        let mut groups = Groups::default();
        let hierarchies = hierarchies();
        let mut notes = Vec::new();
        for bound in bounds(limits) {
            let set = hierarchies.iter().any(|hierarchy| groups.set(id, hierarchy, &bound));
            // Processes are bounded by a resource limit too.
            if !set && bound.controller != "pids" {
                notes.push(format!(
                    "bound of {} not enforced: control groups are not permitted here",
                    bound.name
                ));
            }
        }
        (groups, notes)
    }

    /// Sets one bound in one hierarchy, making the machine's group there if need be.
    fn set(&mut self, id: &str, hierarchy: &Hierarchy, bound: &Bound) -> bool {
        let unified = hierarchy.controllers.is_empty();
        let parents: Vec<PathBuf> = if unified {
            // Controllers reach only groups beside processes, not below them.
            hierarchy
                .own
                .ancestors()
                .skip(1)
                .filter(|group| group.starts_with(&hierarchy.mount))
                .map(Path::to_path_buf)
                .collect()
        } else if hierarchy.controllers.iter().any(|name| name == bound.controller) {
            vec![hierarchy.own.clone(), hierarchy.mount.clone()]
        } else {
            return false;
        };
        for parent in parents {
            if unified && !lists(&parent.join("cgroup.subtree_control"), bound.controller) {
                continue;
            }
            let folder = parent.join(format!("hearth-{id}"));
            let known = self.folders.contains(&folder);
            if !known && fs::create_dir(&folder).is_err() && !folder.is_dir() {
                continue;
            }
            if !known {
                self.folders.push(folder.clone());
            }
            let files = if unified { std::slice::from_ref(&bound.unified) } else { bound.older.as_slice() };
            return files.iter().all(|(file, value)| fs::write(folder.join(file), value).is_ok());
        }
        false
    }

    /// Moves the calling process, which must have one thread, and with it all that it will start, into the groups.
    pub(crate) fn enter(&self) -> std::io::Result<()> {
        for folder in &self.folders {
            // A thread that moves itself needs no lock. To move a process the kernel takes one over
            // all forks and exits of the host, and first waits some ten milliseconds for it. The
            // unified hierarchy has no such file for groups of this kind.
            let tasks = folder.join("tasks");
            let file = if tasks.exists() { tasks } else { folder.join("cgroup.procs") };
            fs::write(file, "0")?;
        }
        Ok(())
    }

    /// The groups' folders, for a later life to remove.
    pub(crate) fn record(&self) -> String {
        self.folders.iter().map(|folder| format!("{}\n", folder.display())).collect()
    }

    /// The groups of such a record.
    pub(crate) fn from_record(record: &str) -> Groups {
        let ours = |path: &&str| {
            Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("hearth-"))
        };
        Groups { folders: record.lines().filter(ours).map(PathBuf::from).collect() }
    }

    /// Removes the groups; all processes of them must be gone.
    pub(crate) fn remove(&self) {
        for folder in &self.folders {
            // What is still there is removed by the next life.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn bounds(limits: &StageLimits) -> Vec<Bound> {
    let mut bounds = vec![Bound {
        name: "processes",
        controller: "pids",
        unified: ("pids.max", limits.processes.to_string()),
        older: vec![("pids.max", limits.processes.to_string())],
    }];
    if let Some(memory) = limits.memory_mib {
        let bytes = memory.saturating_mul(1024 * 1024).to_string();
        bounds.push(Bound {
            name: "memory",
            controller: "memory",
            unified: ("memory.max", bytes.clone()),
            older: vec![("memory.limit_in_bytes", bytes)],
        });
    }
    if let Some(vcpus) = limits.vcpus {
        let quota = u64::from(vcpus) * CPU_PERIOD_US;
        bounds.push(Bound {
            name: "processors",
            controller: "cpu",
            unified: ("cpu.max", format!("{quota} {CPU_PERIOD_US}")),
            older: vec![
                ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ],
        });
    }
    bounds
}

fn lists(file: &Path, word: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|entry| entry == word))
}

/// The hierarchies of this process, from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().filter_map(|line| hierarchy(line, &mounts)).collect()
}

fn hierarchy(line: &str, mounts: &str) -> Option<Hierarchy> {
    let mut fields = line.splitn(3, ':');
    let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
    let controllers: Vec<String> =
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mount = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let matches = if controllers.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && controllers.iter().all(|name| options.split(',').any(|option| option == name))
        };
        // The fourth field is the part of the hierarchy that is mounted: only the whole tells where we are.
        let fields: Vec<&str> = before.split(' ').collect();
        (matches && fields.get(3) == Some(&"/"))
            .then(|| PathBuf::from(fields.get(4).copied().unwrap_or_default()))
    })?;
    let own = mount.join(path.trim_start_matches('/'));
    Some(Hierarchy { mount, own, controllers })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 25 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";

    #[test]
    fn each_generation_is_found_where_it_is_mounted() {
        let unified = hierarchy("0::/user.slice/a", MOUNTS).expect("the unified hierarchy");
        assert_eq!(unified.own, Path::new("/sys/fs/cgroup/unified/user.slice/a"));
        let older = hierarchy("4:cpu,cpuacct:/jobs", MOUNTS).expect("an older hierarchy");
        assert_eq!(older.own, Path::new("/sys/fs/cgroup/cpu/jobs"));
        assert!(hierarchy("5:memory:/", MOUNTS).is_none());
        assert!(hierarchy("nonsense", MOUNTS).is_none());
    }

    #[test]
    fn a_record_names_only_our_own_groups() {
        let groups = Groups::from_record("/sys/fs/cgroup/hearth-a\n/sys/fs/cgroup/system.slice\n");
        assert_eq!(groups.folders, [Path::new("/sys/fs/cgroup/hearth-a")]);
    }
}
