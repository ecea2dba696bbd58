//! `hearth.yaml`: what a user wants of every run. The command line goes before it.
//!
//! It is read from the user's own configuration folder, never from the repository that
//! is run: a repository must not choose its own walls.

mod command;
mod environment;
mod keys;
mod tree;
#[cfg(test)]
mod walk;
mod wrong;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use forge::ServerUrl;
use scheduler::expand::{Approval, Priorities};
use serde::Deserialize;
use server::machines::Bounds;
use server::machines::limits::Tier;

pub(crate) use command::config;
use environment::{Override, overrides};
pub(crate) use environment::{elder, unused};
use keys::Key;
use tree::Tree;
use wrong::wrong;

use crate::args::{DriverName, LogFormat, NetworkName};
use crate::serve::{DiskConfig, GithubConfig, RetentionConfig, TlsConfig, WebhooksConfig};

/// The configuration file. Unknown keys are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Data folder.
    pub(crate) data: Option<PathBuf>,
    /// Driver of `hearth run`.
    pub(crate) machine: Option<DriverName>,
    /// Image of virtual machines.
    pub(crate) image: Option<String>,
    /// Whether each virtual machine boots, instead of going on from a snapshot of a fresh one.
    #[serde(default)]
    pub(crate) cold_boot: bool,
    /// What of the network a job sees.
    pub(crate) network: Option<NetworkName>,
    /// What a job may reach on a network of its own, and nothing else.
    #[serde(default)]
    pub(crate) allow_hosts: Vec<String>,
    /// The same for some workflows and jobs; the first that fits decides.
    #[serde(default)]
    pub(crate) allow_hosts_of: Vec<AllowRule>,
    /// Jobs at once.
    pub(crate) jobs: Option<u16>,
    /// Memory of a machine in MiB.
    pub(crate) memory: Option<u64>,
    /// Where actions are fetched from before github.com.
    #[serde(default)]
    pub(crate) actions_mirrors: Vec<String>,
    /// Server that the repositories are on.
    pub(crate) server_url: Option<ServerUrl>,
    /// Host folders that jobs see read-only.
    #[serde(default)]
    pub(crate) expose: Vec<PathBuf>,
    /// What `hearth serve` does.
    #[serde(default)]
    pub(crate) serve: ServeConfig,
    /// Where Firecracker is.
    #[serde(default)]
    pub(crate) firecracker: FirecrackerConfig,
}

/// What some jobs may reach.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowRule {
    /// Path or name of a workflow; `*` stands for any text.
    pub(crate) workflow: Option<String>,
    /// Id or name of a job; `*` stands for any text.
    pub(crate) job: Option<String>,
    /// What they may reach, and nothing else.
    pub(crate) hosts: Vec<String>,
}

/// Where Firecracker is, when it is not in `PATH`, and what its machines have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FirecrackerConfig {
    /// The `firecracker` binary.
    pub(crate) binary: Option<PathBuf>,
    /// Its jailer, when that is not beside it.
    pub(crate) jailer: Option<PathBuf>,
    /// Bounds of each disk of a machine.
    pub(crate) disk_limit: Option<LimitConfig>,
    /// Bounds of a machine's network, in each direction.
    pub(crate) network_limit: Option<LimitConfig>,
    /// What the metadata service tells machines with a network; without it, there is no such service.
    pub(crate) metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Bounds of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LimitConfig {
    /// MiB a second.
    pub(crate) mib_per_second: Option<NonZeroU32>,
    /// Operations a second; packets, for a network.
    pub(crate) operations_per_second: Option<NonZeroU32>,
}

/// Bytes of metadata: what Firecracker holds unless told otherwise.
const METADATA_BYTES: usize = 51_200;

impl FirecrackerConfig {
    fn check(&self) -> Result<()> {
        for (key, limit) in [("disk-limit", self.disk_limit), ("network-limit", self.network_limit)] {
            if limit.is_some_and(|limit| limit.mib_per_second.or(limit.operations_per_second).is_none()) {
                bail!(
                    "firecracker: {key} bounds nothing; give it mib-per-second, operations-per-second, or both"
                );
            }
        }
        let bytes = self.metadata.as_ref().map_or(0, |data| serde_json::json!(data).to_string().len());
        if bytes > METADATA_BYTES {
            bail!("firecracker: metadata has {bytes} bytes as JSON; Firecracker takes {METADATA_BYTES}");
        }
        Ok(())
    }
}

/// What an operator of `hearth serve machines` decides.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServeConfig {
    /// Where to listen.
    pub(crate) listen: Option<SocketAddr>,
    /// Machines of all callers together.
    pub(crate) machines: Option<usize>,
    /// What can be asked for; the first is the default.
    #[serde(default)]
    pub(crate) vm_types: Vec<VmTypeConfig>,
    /// Limits by the name that a token's `tier` has.
    #[serde(default)]
    pub(crate) tiers: BTreeMap<String, Tier>,
    /// The forge.
    #[serde(default)]
    pub(crate) github: GithubConfig,
    /// Who may send webhooks, and how many.
    #[serde(default)]
    pub(crate) webhooks: WebhooksConfig,
    /// Where people reach the server: `https://ci.example.com`.
    pub(crate) url: Option<String>,
    /// How much room the disk of the data folder must have for jobs to start.
    #[serde(default)]
    pub(crate) disk: DiskConfig,
    /// How long things are kept.
    #[serde(default)]
    pub(crate) retention: RetentionConfig,
    /// The server's own certificate.
    pub(crate) tls: Option<TlsConfig>,
    /// How the log is written.
    pub(crate) log_format: Option<LogFormat>,
    /// Whether anybody may look, without a token.
    #[serde(default)]
    pub(crate) anonymous_read: bool,
    /// Runs at once (`MAX_CONCURRENT_WORKFLOWS`).
    pub(crate) workflows: Option<usize>,
    /// Jobs at once of one repository.
    pub(crate) jobs_per_repository: Option<usize>,
    /// Whose pull requests wait for somebody's word.
    #[serde(default)]
    pub(crate) approval: Approval,
    /// Who goes before others: the first rule that fits.
    #[serde(default)]
    pub(crate) priorities: Priorities,
    /// The least wall around jobs of forks.
    #[serde(default)]
    pub(crate) untrusted_isolation: LeastIsolation,
    /// The machines that jobs get, by their labels.
    #[serde(default)]
    pub(crate) profiles: Vec<ProfileConfig>,
}

/// How strong the wall around a job must be at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeastIsolation {
    /// A kernel of its own.
    #[default]
    VirtualMachine,
    /// The host's kernel, with namespaces around the job.
    Namespaces,
}

impl From<LeastIsolation> for machine::Isolation {
    fn from(least: LeastIsolation) -> machine::Isolation {
        match least {
            LeastIsolation::VirtualMachine => machine::Isolation::VirtualMachine,
            LeastIsolation::Namespaces => machine::Isolation::Namespaces,
        }
    }
}

/// A kind of machine that jobs of the server get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ProfileConfig {
    /// What it is called.
    pub(crate) name: String,
    /// A job gets it if all its `runs-on` are among these; the usual ones where absent.
    pub(crate) labels: Option<Vec<String>>,
    /// `runs-on: {group: ...}` that it belongs to.
    pub(crate) group: Option<String>,
    /// Its driver.
    pub(crate) machine: Option<DriverName>,
    /// Name or id of its image.
    pub(crate) image: Option<String>,
    /// Virtual CPUs.
    pub(crate) vcpus: Option<u32>,
    /// Memory in MiB.
    pub(crate) memory: Option<u64>,
    /// Bound of what it may write, in MiB.
    pub(crate) disk: Option<u64>,
    /// What it sees of the network.
    pub(crate) network: Option<NetworkName>,
    /// What it may reach on a network of its own, and nothing else.
    #[serde(default)]
    pub(crate) allow_hosts: Vec<String>,
    /// How many run at once [default: one for each CPU of the host].
    pub(crate) machines: Option<u32>,
    /// How many are kept ready.
    pub(crate) warm: Option<Bounds>,
}

/// A type of machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct VmTypeConfig {
    /// What callers call it.
    pub(crate) name: String,
    /// Name or id of its image.
    pub(crate) image: Option<String>,
    /// Virtual CPUs.
    pub(crate) vcpus: Option<u32>,
    /// Memory in MiB.
    pub(crate) memory: Option<u64>,
    /// Bound of what it may write, in MiB.
    pub(crate) disk: Option<u64>,
    /// What it sees of the network.
    pub(crate) network: Option<NetworkName>,
    /// What it may reach on a network of its own, and nothing else.
    #[serde(default)]
    pub(crate) allow_hosts: Vec<String>,
    /// How many are kept ready.
    pub(crate) warm: Option<Bounds>,
}

/// A configuration, and where what is in it comes from.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Its file, where there is one.
    path: Option<PathBuf>,
    file: Tree,
    overrides: Vec<Override>,
}

impl Config {
    /// Reads the file given, or the user's own where there is one, and what the environment has instead.
    pub(crate) fn load(given: Option<&Path>) -> Result<Config> {
        Ok(Loaded::load(given)?.config)
    }

    /// Of a file's text, and variables that go before it.
    fn read(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Loaded> {
        let alone = Config::parse(text)?;
        let (file, overrides) = (Tree::of(text), overrides(variable)?);
        let config = if overrides.is_empty() {
            alone
        } else {
            let mut whole = file.clone();
            for one in &overrides {
                whole.put(one.key, one.value.clone());
            }
            Config::parse(&whole.text()).context("what the environment has does not fit the rest")?
        };
        Ok(Loaded { config, path: None, file, overrides })
    }

    fn parse(text: &str) -> Result<Config> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Config::default());
        }
        let config: Config = serde_saphyr::from_str(text).map_err(|error| wrong(&error, text))?;
        config.firecracker.check()?;
        Ok(config)
    }
}

impl Loaded {
    /// Reads the file given, or the user's own where there is one, and what the environment has instead.
    pub(crate) fn load(given: Option<&Path>) -> Result<Loaded> {
        let path = given.map(Path::to_owned).or_else(|| default_path().filter(|path| path.exists()));
        let text = match &path {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("can't read the configuration file {}", path.display()))?,
            None => String::new(),
        };
        if let (Err(error), Some(path)) = (Config::parse(&text), &path) {
            bail!("{}:{error:#}", path.display());
        }
        Ok(Loaded { path, ..Config::read(&text, |name| std::env::var(name).ok())? })
    }

    /// What is written for a key, and where.
    fn value(&self, key: &Key, variable: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
        if let Some(one) = self.overrides.iter().find(|one| one.key == key) {
            return Some((unquoted(&one.value), format!("environment {}", one.variable)));
        }
        let elder = key.elder.iter().filter_map(|name| Some((*name, variable(name)?)));
        let (names, values): (Vec<_>, Vec<_>) = elder.unzip();
        if !names.is_empty() {
            return Some((values.join(":"), format!("environment {} (hearth serve)", names.join(", "))));
        }
        let (value, line) = self.file.get(key)?;
        let file = self.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        Some((unquoted(&value), line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))))
    }
}

/// A text without quotes around it; what else there is, as it is.
fn unquoted(value: &str) -> String {
    serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned())
}

fn default_path() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".config"),
    };
    Some(base.join("hearth/hearth.yaml"))
}

#[cfg(test)]
mod tests {
    use super::keys::KEYS;
    use super::*;

    #[test]
    fn limits_of_firecracker_bound_something_and_metadata_fits() {
        let parse = |text: &str| Config::parse(&format!("firecracker:\n  {text}\n"));
        let config =
            parse("disk-limit: {mib-per-second: 200, operations-per-second: 5000}\n  metadata: {stage: ci}");
        let firecracker = config.unwrap().firecracker;
        let limit = LimitConfig {
            mib_per_second: NonZeroU32::new(200),
            operations_per_second: NonZeroU32::new(5000),
        };
        assert_eq!(firecracker.disk_limit, Some(limit));
        assert_eq!(firecracker.metadata.unwrap()["stage"], "ci");
        assert!(Config::parse("jobs: 1\n").unwrap().firecracker.metadata.is_none());
        for (wrong, words) in [
            ("disk-limit: {}", "disk-limit bounds nothing"),
            ("network-limit: {mib-per-second: 0}", "nonzero"),
            ("network-limit: {mib: 1}", "mib"),
            ("metadata: [1]", "map"),
        ] {
            let error = format!("{:#}", parse(wrong).unwrap_err());
            assert!(error.contains(words), "{wrong}: {error}");
        }
        let error =
            parse(&format!("metadata: {{a: {}}}", "x".repeat(METADATA_BYTES))).unwrap_err().to_string();
        assert!(error.contains("51208 bytes"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = Config::parse("jobs: 2\nmachin: host\n").unwrap_err().to_string();
        assert!(error.contains("machin"), "{error}");
        assert!(error.contains("line 2") || error.contains("2:") || error.contains("2 |"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_what_may_be_meant() {
        for (file, said) in [
            ("jobs: 2\nmachin: host\n", "2:1: there is no key `machin`; is `machine` meant?"),
            ("serve:\n  github:\n    tokn: x\n", "3:5: there is no key `tokn`; is `token` meant?"),
            (
                "serve: {webhooks: {x: 1}}",
                "1:20: there is no key `x`; the keys here: allow, per-minute, trusted-proxies",
            ),
        ] {
            assert_eq!(Config::parse(file).unwrap_err().to_string(), said);
        }
        let error = Config::parse("jobs: 2\nmemory: much\n").unwrap_err().to_string();
        assert!(error.starts_with("2:9: "), "{error}");
    }

    #[test]
    fn the_table_of_keys_has_what_is_read_and_each_its_own_variable() {
        let mut read = walk::keys::<Config>();
        let mut table: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
        read.sort_unstable();
        table.sort_unstable();
        assert_eq!(table, read, "crates/cli/src/config/keys.rs and what Config reads differ");
        let variables: std::collections::BTreeSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!(variables.len(), KEYS.len());
    }

    #[test]
    fn the_documentation_names_every_key() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        for key in KEYS {
            assert!(text.contains(&format!("| `{}` |", key.path)), "no row for {}", key.path);
            for elder in key.elder {
                assert!(text.contains(&format!("`{elder}`")), "nothing about {elder}");
            }
        }
        let in_lists = [
            walk::keys::<AllowRule>(),
            walk::keys::<ProfileConfig>(),
            walk::keys::<VmTypeConfig>(),
            walk::keys::<Tier>(),
            walk::keys::<Bounds>(),
        ];
        for key in in_lists.concat() {
            let name = key.split('.').next_back().unwrap_or_default();
            assert!(text.contains(&format!("`{name}`")), "nothing about {key}");
        }
    }

    #[test]
    fn a_file_of_comments_only_is_the_default() {
        assert!(Config::parse("# nothing\n\n").unwrap().machine.is_none());
    }

    #[test]
    fn every_key_is_read() {
        let config = Config::parse(
            "data: /d\nmachine: host\nnetwork: none\njobs: 3\nmemory: 512\ncold-boot: true\n\
             actions-mirrors: ['file:///srv/{owner}/{repo}']\nexpose: [/opt/x]\n\
             firecracker: {binary: /opt/fc/firecracker}\n",
        )
        .unwrap();
        assert_eq!(config.machine, Some(DriverName::Host));
        assert_eq!(config.network, Some(NetworkName::None));
        assert_eq!((config.jobs, config.memory, config.cold_boot), (Some(3), Some(512), true));
        let serve = Config::parse(
            "serve:\n  listen: 127.0.0.1:80\n  machines: 9\n  vm-types:\n  - name: big\n    image: trixie\n    \
             vcpus: 4\n    memory: 8192\n    disk: 20480\n    network: host\n    allow-hosts: [a.example]\n    warm: {min: 1, max: 4}\n  tiers:\n    gold: {machines: 20}\n",
        );
        let serve = serve.unwrap().serve;
        assert_eq!((serve.machines, serve.vm_types[0].memory), (Some(9), Some(8192)));
        assert_eq!(serve.vm_types[0].allow_hosts, ["a.example"]);
        assert_eq!(serve.vm_types[0].warm, Some(Bounds { min: 1, max: 4 }));
        assert_eq!(serve.tiers["gold"], Tier { machines: 20, ..Tier::default() });
        assert!(Config::parse("serve: {tiers: {gold: {machine: 20}}}").is_err());
        assert_eq!(config.actions_mirrors, ["file:///srv/{owner}/{repo}"]);
        assert_eq!(config.firecracker.binary, Some("/opt/fc/firecracker".into()));
    }
}
