//! The machines that jobs of the server get.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use machine::image::{DEFAULT_NAME, ImageError, ImageStore};
use machine::network::NetworkPolicy;
use machine::pool::{Kind, Pool};
use machine::{Driver, MachineSpec};
use model::MachineId;
use scheduler::queue::{Capacity, Profile, Profiles, Size};
use scheduler::workshop::Bench;
use server::health::Check;

use crate::args::DriverName;
use crate::config::{Config, ProfileConfig};
use crate::data::DataFolder;
use crate::run::machines::{best, from_templates};

/// Labels that any Linux machine is for, unless a profile says which it has.
const USUAL_LABELS: [&str; 8] =
    ["ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "linux", "x64", "self-hosted", "hearth", "default"];

/// Name of the profile where none is configured.
const USUAL: &str = "default";

/// What there is to run jobs on.
pub(crate) struct Machines {
    /// For the queue.
    pub(crate) profiles: Profiles,
    /// For the jobs.
    pub(crate) benches: BTreeMap<String, Bench>,
    /// The drivers, each once.
    pub(crate) drivers: Vec<Arc<dyn Driver>>,
    /// What the operator should know.
    pub(crate) notes: Vec<String>,
}

/// The configured profiles, which were [checked](check), or the usual one. Drivers have reaped when it returns.
pub(crate) async fn open(config: &Config, data: &DataFolder) -> Result<Machines> {
    let configured = configured(config);
    let mut machines = Machines {
        profiles: Profiles::default(),
        benches: BTreeMap::new(),
        drivers: Vec::new(),
        notes: Vec::new(),
    };
    let mut profiles = Vec::new();
    for one in &configured {
        let (profile, bench) = machines.profile(one, config, data).await?;
        profiles.push(profile);
        machines.benches.insert(one.name.clone(), bench);
    }
    machines.profiles = Profiles::new(profiles);
    Ok(machines)
}

/// What is wrong with the profiles, as far as it needs no machine to be seen.
pub(super) fn check(config: &Config) -> Result<()> {
    let configured = configured(config);
    for (place, one) in configured.iter().enumerate() {
        let name = &one.name;
        if name.is_empty() || configured[..place].iter().any(|other| other.name == *name) {
            bail!("machine profile {name:?} is named twice, or has no name");
        }
        let driver = driver_of(one, config);
        if driver == DriverName::Host {
            bail!("machine profile {name}: the host driver has no walls; choose another");
        }
        let numbers = [
            ("machines", one.machines.map(u64::from)),
            ("vcpus", one.vcpus.map(u64::from)),
            ("memory", one.memory),
            ("disk", one.disk),
        ];
        if let Some((key, _)) = numbers.iter().find(|(_, number)| *number == Some(0)) {
            bail!("{key} of machine profile {name} is 0, and no job would ever run there; the least is 1");
        }
        if let Some(warm) = one.warm.filter(|warm| warm.min > warm.max) {
            bail!(
                "warm of machine profile {name} keeps at least {} machines, and at most {}",
                warm.min,
                warm.max
            );
        }
        let policed = spec(one, config, driver, size(one, config))?.check_policy();
        policed.map_err(|reason| anyhow!("allow-hosts of machine profile {name}: {reason}"))?;
    }
    Ok(())
}

/// What the profiles say that nobody can want, though a server can begin with it.
pub(super) fn hardly_meant(config: &Config) -> Vec<String> {
    let configured = configured(config);
    let mut notes = Vec::new();
    for (place, one) in configured.iter().enumerate() {
        let own = labels(one);
        if own.is_empty() && one.group.is_none() {
            notes.push(format!(
                "machine profile {} has no labels, and no group by which jobs could name it",
                one.name
            ));
            continue;
        }
        // The first that fits is taken, unless a job names the group of a later one.
        let is_before = |other: &&ProfileConfig| {
            let of_it = labels(other);
            let has = |label: &String| of_it.iter().any(|known| known.eq_ignore_ascii_case(label));
            own.iter().all(has) && (one.group.is_none() || one.group == other.group)
        };
        if let Some(first) = configured[..place].iter().find(is_before) {
            notes.push(format!(
                "no job ever gets machine profile {}: {} comes before it, and has all its labels",
                one.name, first.name
            ));
        }
    }
    notes
}

fn driver_of(one: &ProfileConfig, config: &Config) -> DriverName {
    one.machine.or(config.machine).unwrap_or(DriverName::Sandbox)
}

fn size(one: &ProfileConfig, config: &Config) -> Size {
    let usual = Size::default();
    Size {
        vcpus: one.vcpus.unwrap_or(usual.vcpus),
        memory_mib: one.memory.or(config.memory).unwrap_or(usual.memory_mib),
    }
}

fn labels(one: &ProfileConfig) -> Vec<String> {
    one.labels.clone().unwrap_or_else(|| USUAL_LABELS.map(str::to_owned).to_vec())
}

fn configured(config: &Config) -> Vec<ProfileConfig> {
    match config.serve.profiles.as_slice() {
        [] => vec![usual()],
        profiles => profiles.to_vec(),
    }
}

/// Whether the image is there that a profile names.
#[derive(Clone)]
pub(super) struct ImageCheck {
    name: String,
    image: String,
    data: PathBuf,
}

impl ImageCheck {
    /// Of the profiles whose machines have images.
    pub(super) fn all(config: &Config, data: &Path) -> Vec<ImageCheck> {
        let of = |one: ProfileConfig| {
            let driver = driver_of(&one, config);
            let has_image = !matches!(driver, DriverName::Sandbox | DriverName::Host);
            let image = one.image.or_else(|| config.image.clone());
            has_image.then(|| ImageCheck {
                name: format!("machine profile {}", one.name),
                image: image.unwrap_or_else(|| DEFAULT_NAME.to_owned()),
                data: data.to_owned(),
            })
        };
        configured(config).into_iter().filter_map(of).collect()
    }

    fn look(&self) -> Result<(), ImageError> {
        ImageStore::open(&self.data)?.get(&self.image).map(drop)
    }
}

#[async_trait]
impl Check for ImageCheck {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> Result<(), String> {
        let own = self.clone();
        let looked = tokio::task::spawn_blocking(move || own.look()).await;
        looked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// A word for each profile whose image is not there. Without a data folder, none is.
pub(super) fn missing_images(config: &Config, data: Option<&Path>) -> Vec<String> {
    let told = |check: &ImageCheck| {
        let why = match data {
            Some(_) => check.look().err()?.to_string(),
            None => format!("there is no image {:?}: there is no data folder yet", check.image),
        };
        Some(format!("{}: {why}; its jobs fail until `hearth image build` has made it", check.name))
    };
    ImageCheck::all(config, data.unwrap_or(Path::new(""))).iter().filter_map(told).collect()
}

impl Machines {
    async fn profile(
        &mut self,
        one: &ProfileConfig,
        config: &Config,
        data: &DataFolder,
    ) -> Result<(Profile, Bench)> {
        let (name, size) = (driver_of(one, config), size(one, config));
        let spec = spec(one, config, name, size)?;
        let (driver, note) = best(name, &spec, data, config).await?;
        self.notes.extend(note.map(|note| format!("machine profile {}: {note}", one.name)));
        if !self.drivers.iter().any(|known| known.name() == driver.name()) {
            let reaped = driver.reap().await.context("can't clean up what an earlier life left")?;
            self.notes
                .extend(reaped.into_iter().map(|what| format!("removed {what}, left by an earlier life")));
            self.drivers.push(Arc::clone(&driver));
        }
        driver.check(&spec).with_context(|| format!("machine profile {} can't be", one.name))?;
        let driver = if config.cold_boot { driver } else { from_templates(driver, data) };
        let profile = Profile {
            name: one.name.clone(),
            group: one.group.clone(),
            labels: labels(one),
            size,
            largest: Some(largest(size)),
            capacity: Capacity { machines: Some(one.machines.unwrap_or_else(cpus)), ..Capacity::default() },
        };
        let pool = pool(one, &driver, &spec, data.root())?;
        Ok((profile, Bench { driver, spec, size, pool }))
    }
}

fn spec(one: &ProfileConfig, config: &Config, name: DriverName, size: Size) -> Result<MachineSpec> {
    let policy = NetworkPolicy::parse(one.allow_hosts.iter().chain(&config.allow_hosts).map(String::as_str));
    let network = one.network.or(config.network).unwrap_or(name.usual_network());
    Ok(MachineSpec {
        image: one.image.clone().or_else(|| config.image.clone()),
        vcpus: Some(size.vcpus),
        memory_mib: Some(size.memory_mib),
        disk_mib: one.disk,
        policy: policy.with_context(|| format!("allow-hosts of machine profile {} is wrong", one.name))?,
        expose: config.expose.clone(),
        ..MachineSpec::new(MachineId(String::new()), network.into())
    })
}

fn pool(
    one: &ProfileConfig,
    driver: &Arc<dyn Driver>,
    spec: &MachineSpec,
    data: &Path,
) -> Result<Option<Pool>> {
    let Some(warm) = one.warm else { return Ok(None) };
    let kind = Kind { name: one.name.clone(), spec: spec.clone(), min: warm.min, max: warm.max };
    let pool = Pool::open(Arc::clone(driver), data, vec![kind]);
    Ok(Some(pool.with_context(|| format!("can't keep machines of profile {} ready", one.name))?))
}

fn usual() -> ProfileConfig {
    ProfileConfig {
        name: USUAL.to_owned(),
        labels: None,
        group: None,
        machine: None,
        image: None,
        vcpus: None,
        memory: None,
        disk: None,
        network: None,
        allow_hosts: Vec::new(),
        machines: None,
        warm: None,
    }
}

/// How large a machine a label may ask for: as large as the host, or as the profile's own.
fn largest(own: Size) -> Size {
    // What the kernel keeps for itself is not missing in a machine for which all memory was meant.
    let memory = memory_mib().map(|memory| memory.next_multiple_of(1024));
    Size { vcpus: own.vcpus.max(cpus()), memory_mib: own.memory_mib.max(memory.unwrap_or(u64::MAX)) }
}

/// The host's memory, where it says how much there is (proc_meminfo(5)).
fn memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(total.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}
