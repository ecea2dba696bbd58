//! Machine profiles: what kinds of machines there are, and which of them a job's labels mean.

use std::fmt;

use workflow::plan::RunsOn;

/// Prefixes of labels that say a size, as in `firecracker-4cpu-8gb`.
pub const SIZE_PREFIXES: [&str; 4] = ["firecracker", "microvm", "firerunner", "actuated"];

/// Most vCPUs that a label may ask for, so that sums of sizes can't overflow; no VMM that is driven has more.
pub const MAX_VCPUS: u32 = 1024;

/// Most GiB of memory that a label may ask for, for the same reason.
pub const MAX_MEMORY_GIB: u64 = 16 * 1024;

const MIB_PER_GIB: u64 = 1024;

/// How large a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

impl Default for Size {
    fn default() -> Size {
        Size { vcpus: 2, memory_mib: 4096 }
    }
}

impl Size {
    fn could_hold(self, other: Size) -> bool {
        other.vcpus <= self.vcpus && other.memory_mib <= self.memory_mib
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vCPU and {} MiB", self.vcpus, self.memory_mib)
    }
}

/// How much there is of something, for machines that run at once. What is not said has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Machines.
    pub machines: Option<u32>,
    /// Their virtual CPUs together.
    pub vcpus: Option<u32>,
    /// Their memory together, in MiB.
    pub memory_mib: Option<u64>,
}

/// A kind of machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its name: what people and the machine pool call it.
    pub name: String,
    /// `runs-on: {group: ...}` that it belongs to.
    pub group: Option<String>,
    /// A job runs here if all of its labels are among these; compared without case.
    pub labels: Vec<String>,
    /// How large its machines are, unless a label says a size.
    pub size: Size,
    /// How large a machine a label may ask for: what its host has. No bound, where that is not known.
    pub largest: Option<Size>,
    /// How many there may be at once.
    pub capacity: Capacity,
}

/// Where a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Name of the profile.
    pub profile: String,
    /// Size of the machine.
    pub size: Size,
}

/// All kinds of machines. The first that has all labels of a job is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles(Vec<Profile>);

/// Why no machine suits a job. It never will while the profiles are the same, so the job is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProfile {
    /// A label that no profile has.
    #[error(
        "no machine has the label `{label}`; there are {known}. Change `runs-on`, or add a profile with this label"
    )]
    Label {
        /// The label.
        label: String,
        /// All labels.
        known: String,
    },
    /// Each label is known, but none has all.
    #[error(
        "no machine has all of the labels {labels}; there are {known}. Change `runs-on`, or add a profile with these labels"
    )]
    Together {
        /// The job's labels.
        labels: String,
        /// The labels of each profile.
        known: String,
    },
    /// A group that no profile is in.
    #[error(
        "no machine is in the group `{group}`; there are {known}. Change `runs-on`, or give a profile this group"
    )]
    Group {
        /// The group.
        group: String,
        /// All groups.
        known: String,
    },
    /// A label that looks like a size and is none.
    #[error(
        "`{label}` is no size of a machine: write it as in `firecracker-4cpu-8gb`, with at most {MAX_VCPUS} CPUs and {MAX_MEMORY_GIB} GB"
    )]
    Size {
        /// The label.
        label: String,
    },
    /// Two labels that say a size.
    #[error("`{first}` and `{second}` both say how large the machine is: leave one")]
    TwoSizes {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// More than all machines of the profile may have together.
    #[error(
        "a machine of {size} never fits: {whose} has room for {room}. Ask for less, or raise its capacity"
    )]
    TooLarge {
        /// What is asked for.
        size: Size,
        /// Whose capacity: a profile's or the host's.
        whose: String,
        /// What there is.
        room: String,
    },
}

impl Profiles {
    /// These profiles, the preferred first.
    #[must_use]
    pub fn new(profiles: Vec<Profile>) -> Profiles {
        Profiles(profiles)
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Profile] {
        &self.0
    }

    /// Where a job with this `runs-on` runs.
    ///
    /// # Errors
    /// If no machine suits it.
    pub fn place(&self, runs_on: &RunsOn) -> Result<Placement, NoProfile> {
        let (pool, size) = self.find(runs_on)?;
        Ok(Placement { profile: self.0[pool].name.clone(), size })
    }

    /// The place of the profile among all, and the size of the machine.
    pub(crate) fn find(&self, runs_on: &RunsOn) -> Result<(usize, Size), NoProfile> {
        let (size, labels) = self.split_size(&runs_on.labels)?;
        let in_group = |profile: &&(usize, &Profile)| match &runs_on.group {
            Some(group) => {
                profile.1.group.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(bare_group(group)))
            }
            None => true,
        };
        let all: Vec<(usize, &Profile)> = self.0.iter().enumerate().collect();
        let candidates: Vec<&(usize, &Profile)> = all.iter().filter(in_group).collect();
        if let (Some(group), true) = (&runs_on.group, candidates.is_empty()) {
            let known = list(self.0.iter().filter_map(|profile| profile.group.as_deref()));
            return Err(NoProfile::Group { group: group.clone(), known });
        }
        let fits = candidates.iter().find(|profile| labels.iter().all(|label| profile.1.has(label)));
        let Some((place, profile)) = fits else { return Err(self.missing(&labels)) };
        if let (Some(size), Some(largest)) = (size, profile.largest)
            && !largest.could_hold(size)
        {
            return Err(NoProfile::TooLarge {
                size,
                whose: "the host".to_owned(),
                room: largest.to_string(),
            });
        }
        let size = size.unwrap_or(profile.size);
        let capacity = profile.capacity;
        if !capacity.could_hold(size) {
            let whose = format!("profile `{}`", profile.name);
            return Err(NoProfile::TooLarge { size, whose, room: capacity.to_string() });
        }
        Ok((*place, size))
    }

    /// Takes the label that says a size from the others. One that a profile has is an ordinary label.
    fn split_size<'a>(&self, labels: &'a [String]) -> Result<(Option<Size>, Vec<&'a str>), NoProfile> {
        let mut said: Option<(&str, Size)> = None;
        let mut rest = Vec::new();
        for label in labels {
            let known = self.0.iter().any(|profile| profile.has(label));
            match (known, size_of(label)) {
                (false, Some(Err(()))) => return Err(NoProfile::Size { label: label.clone() }),
                (false, Some(Ok(size))) => {
                    if let Some((first, _)) = said.replace((label, size)) {
                        return Err(NoProfile::TwoSizes { first: first.to_owned(), second: label.clone() });
                    }
                }
                _ => rest.push(label.as_str()),
            }
        }
        Ok((said.map(|(_, size)| size), rest))
    }

    fn missing(&self, labels: &[&str]) -> NoProfile {
        let unknown = labels.iter().find(|label| !self.0.iter().any(|profile| profile.has(label)));
        match unknown {
            Some(label) => NoProfile::Label {
                label: (*label).to_owned(),
                known: list(self.0.iter().flat_map(|profile| profile.labels.iter().map(String::as_str))),
            },
            None => NoProfile::Together {
                labels: list(labels.iter().copied()),
                known: self
                    .0
                    .iter()
                    .map(|profile| {
                        format!("{} with {}", profile.name, list(profile.labels.iter().map(String::as_str)))
                    })
                    .collect::<Vec<_>>()
                    .join("; "),
            },
        }
    }
}

impl Profile {
    fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own.eq_ignore_ascii_case(label))
    }
}

impl Capacity {
    /// Whether a machine of this size fits when there is no other.
    pub(crate) fn could_hold(&self, size: Size) -> bool {
        self.machines != Some(0)
            && self.vcpus.is_none_or(|vcpus| size.vcpus <= vcpus)
            && self.memory_mib.is_none_or(|memory| size.memory_mib <= memory)
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            self.machines.map(|machines| format!("{machines} machines")),
            self.vcpus.map(|vcpus| format!("{vcpus} vCPU")),
            self.memory_mib.map(|memory| format!("{memory} MiB")),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&if parts.is_empty() { "any number of machines".to_owned() } else { parts.join(", ") })
    }
}

/// A group may say whose it is (`organization/name`): there is one owner here.
fn bare_group(group: &str) -> &str {
    group.rsplit('/').next().unwrap_or(group)
}

/// The size that a label says; `None` for a label that is about something else.
fn size_of(label: &str) -> Option<Result<Size, ()>> {
    let lower = label.to_ascii_lowercase();
    let rest = SIZE_PREFIXES.iter().find_map(|prefix| lower.strip_prefix(prefix)?.strip_prefix('-'))?;
    Some(read_size(rest).ok_or(()))
}

fn read_size(text: &str) -> Option<Size> {
    let (cpus, memory) = text.split_once("cpu-")?;
    let vcpus = decimal(cpus)?.try_into().ok().filter(|vcpus| (1..=MAX_VCPUS).contains(vcpus))?;
    let gib = decimal(memory.strip_suffix("gb")?).filter(|gib| (1..=MAX_MEMORY_GIB).contains(gib))?;
    Some(Size { vcpus, memory_mib: gib * MIB_PER_GIB })
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Names in backticks, each once.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for name in names.map(|name| format!("`{name}`")) {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    if seen.is_empty() { "none".to_owned() } else { seen.join(", ") }
}
