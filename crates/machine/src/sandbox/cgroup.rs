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

impl Hierarchy {
    fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Groups in which one for the machine could be made, and which of the controllers of `open` bounds it
    /// would have there; those with most of them first, then the nearest.
    fn parents(&self, open: &[Bound]) -> Vec<(PathBuf, Vec<String>)> {
        let groups: Vec<PathBuf> = if self.is_unified() {
            // Controllers reach only groups beside processes, not below them; but for the host's first group.
            let first = self.is_first();
            if first {
                offer(&self.own, open);
            }
            let above = self.own.ancestors().skip(usize::from(!first));
            above.take_while(|group| group.starts_with(&self.mount)).map(Path::to_path_buf).collect()
        } else {
            vec![self.own.clone(), self.mount.clone()]
        };
        let wanted = |name: &String| open.iter().any(|bound| bound.controller == name);
        let offered = groups.into_iter().map(|group| {
            let all = if self.is_unified() {
                words(&group.join("cgroup.subtree_control"))
            } else {
                self.controllers.clone()
            };
            (group, all.into_iter().filter(wanted).collect::<Vec<_>>())
        });
        let mut parents: Vec<_> = offered.filter(|(_, controllers)| !controllers.is_empty()).collect();
        parents.sort_by_key(|(_, controllers)| std::cmp::Reverse(controllers.len()));
        parents
    }

    /// Whether this process is in the host's first group, as where no service manager made others: the
    /// kernel has no such file there.
    fn is_first(&self) -> bool {
        self.own == self.mount && !self.own.join("cgroup.type").exists()
    }
}

/// Has the host's first group hand on the controllers of these bounds, where this process may do that.
fn offer(group: &Path, open: &[Bound]) {
    let file = group.join("cgroup.subtree_control");
    let offered = words(&file);
    for bound in open.iter().filter(|bound| !offered.iter().any(|name| name == bound.controller)) {
        // Which of them could be had is read afterwards.
        let _ = fs::write(&file, format!("+{}", bound.controller));
    }
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
        Self::make_in(&hierarchies(), id, limits)
    }

    fn make_in(hierarchies: &[Hierarchy], id: &str, limits: &StageLimits) -> (Groups, Vec<String>) {
        let mut groups = Groups::default();
        let mut open = bounds(limits);
        for hierarchy in hierarchies {
            groups.set(&format!("hearth-{id}"), hierarchy, &mut open);
        }
        // Processes are bounded by a resource limit too.
        let unset = open.iter().filter(|bound| bound.controller != "pids");
        let notes = unset.map(|bound| {
            format!("bound of {} not enforced: control groups are not permitted here", bound.name)
        });
        (groups, notes.collect())
    }

    /// Makes the machine's group of one hierarchy, where the most of the open bounds can be set, and sets them.
    ///
    /// One group and not one for each bound: a process is in one group of a hierarchy only.
    fn set(&mut self, name: &str, hierarchy: &Hierarchy, open: &mut Vec<Bound>) {
        for (parent, controllers) in hierarchy.parents(open) {
            let folder = parent.join(name);
            if fs::create_dir(&folder).is_err() && !folder.is_dir() {
                continue;
            }
            open.retain(|bound| {
                let offered = controllers.iter().any(|name| name == bound.controller);
                let files = if hierarchy.is_unified() {
                    std::slice::from_ref(&bound.unified)
                } else {
                    bound.older.as_slice()
                };
                !(offered && files.iter().all(|(file, value)| fs::write(folder.join(file), value).is_ok()))
            });
            self.folders.push(folder);
            return;
        }
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

fn words(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
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

    /// A unified hierarchy of plain files: `user.slice` hands on less than the first group.
    fn unified(own: &str) -> (tempfile::TempDir, Hierarchy) {
        let mount = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(mount.path().join("user.slice/session.scope")).expect("groups");
        let offer = |group: &str, controllers: &str| {
            let file = mount.path().join(group).join("cgroup.subtree_control");
            fs::write(file, controllers).expect("written");
        };
        offer("", "cpu memory pids");
        offer("user.slice", "memory pids");
        let hierarchy = Hierarchy {
            mount: mount.path().to_path_buf(),
            own: mount.path().join(own),
            controllers: Vec::new(),
        };
        (mount, hierarchy)
    }

    #[test]
    fn all_bounds_of_the_unified_hierarchy_are_in_one_group() {
        let (mount, hierarchy) = unified("user.slice/session.scope");
        let limits = StageLimits { vcpus: Some(2), memory_mib: Some(1), disk_mib: None, processes: 9 };
        let (groups, notes) = Groups::make_in(&[hierarchy], "x", &limits);
        let folder = mount.path().join("hearth-x");
        assert_eq!((groups.folders, notes), (vec![folder.clone()], Vec::new()));
        let set =
            ["cpu.max", "memory.max", "pids.max"].map(|file| fs::read_to_string(folder.join(file)).ok());
        assert_eq!(set, ["200000 100000", "1048576", "9"].map(|value| Some(value.to_owned())));
    }

    #[test]
    fn a_group_is_made_as_near_as_the_bounds_can_be_set() {
        let (mount, hierarchy) = unified("user.slice/session.scope");
        let limits = StageLimits { memory_mib: Some(1), processes: 9, ..StageLimits::default() };
        let (groups, notes) = Groups::make_in(&[hierarchy], "x", &limits);
        assert_eq!(groups.folders, [mount.path().join("user.slice/hearth-x")]);
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn without_a_service_manager_the_group_is_below_the_first() {
        let (mount, hierarchy) = unified("");
        let (groups, _) =
            Groups::make_in(&[hierarchy], "x", &StageLimits { processes: 9, ..StageLimits::default() });
        assert_eq!(groups.folders, [mount.path().join("hearth-x")]);
        // In a container's first group are processes, so it can hand nothing on.
        let (mount, hierarchy) = unified("");
        fs::write(mount.path().join("cgroup.type"), "domain").expect("written");
        let limits = StageLimits { memory_mib: Some(1), processes: 9, ..StageLimits::default() };
        let (groups, notes) = Groups::make_in(&[hierarchy], "x", &limits);
        assert_eq!((groups.folders.len(), notes.len()), (0, 1));
    }

    #[test]
    fn a_record_names_only_our_own_groups() {
        let groups = Groups::from_record("/sys/fs/cgroup/hearth-a\n/sys/fs/cgroup/system.slice\n");
        assert_eq!(groups.folders, [Path::new("/sys/fs/cgroup/hearth-a")]);
    }
}
