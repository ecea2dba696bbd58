//! `hearth serve machines`: the machine API alone.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use machine::network::NetworkPolicy;
use machine::{Driver, FindingLevel, MachineSpec, Network};
use model::MachineId;
use server::http;
use server::machines::token::{DEFAULT_TIER, Key};
use server::machines::{Config as Api, Machines, VmType};
use store::FolderLock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::{ADDRESS, DriverName, ServeMachinesArgs};
use crate::config::{Config, ServeConfig};
use crate::data::DataFolder;
use crate::exit;
use crate::run::interrupt::Interrupts;
use crate::run::machines::best;

/// Where the key of tokens is.
pub(crate) const SECRET_VARIABLE: &str = "HEARTH_JWT_SECRET";

/// Name of the file below the data folder whose lock is held by who serves the machine API, alone or with the rest.
const LOCK_FILE: &str = "serve-machines.lock";

/// Serves the machine API until it is interrupted; then destroys all machines.
pub(crate) async fn machines(args: ServeMachinesArgs) -> Result<u8> {
    let key = key()?;
    let config = Config::load(args.places.config.as_deref())?;
    let data = DataFolder::open(args.places.data.clone().or_else(|| config.data.clone()))?;
    let _lock = lock(&data)?;
    let mut interrupts = Interrupts::new()?;
    let api = api_config(args.network.map(Network::from), &args.vm_types, &config.serve, data.root())?;
    let (driver, note) = chosen_driver(args.driver, &api, &data, &config).await?;
    if let Some(note) = note {
        eprintln!("hearth: {note}");
    }
    let (machines, removed) = Machines::open(key, api, Arc::clone(&driver)).await?;
    for what in removed {
        eprintln!("hearth: removed {what}, left by an earlier life");
    }
    let probe = driver.probe().await;
    if !probe.usable {
        for finding in probe.findings.iter().filter(|finding| finding.level == FindingLevel::Bad) {
            let remedy = finding.remedy.as_ref().map(|remedy| format!(" → {remedy}")).unwrap_or_default();
            eprintln!("hearth: {}: {}{remedy}", finding.subject, finding.detail);
        }
        eprintln!("hearth: the {} driver does not work here; `hearth doctor` says more", driver.name());
        machines.shut_down().await;
        return Ok(exit::MACHINE);
    }
    let listen = match args.listen.or(config.serve.listen) {
        Some(listen) => listen,
        None => ADDRESS.parse()?,
    };
    serve(&machines, listen, &mut interrupts).await
}

/// The machine API beside a CI server, on the same data folder: each leaves alone what lives, and their machines have
/// names of their own.
pub(super) struct Beside {
    pub(super) machines: Machines,
    pub(super) driver: Arc<dyn Driver>,
    _lock: FolderLock,
}

impl Beside {
    /// Where there is a key of tokens, the API.
    pub(super) async fn open(config: &Config, data: &DataFolder) -> Result<Option<Beside>> {
        if std::env::var_os(SECRET_VARIABLE).is_none_or(|secret| secret.is_empty()) {
            return Ok(None);
        }
        let key = key()?;
        let lock = lock(data)?;
        let api = api_config(None, &[], &config.serve, data.root())?;
        let (driver, note) = chosen_driver(None, &api, data, config).await?;
        note.iter().for_each(|note| info!("machine API: {note}"));
        let (machines, removed) = Machines::open(key, api, Arc::clone(&driver)).await?;
        removed.iter().for_each(|what| info!(what, "removed, left by an earlier life"));
        Ok(Some(Beside { machines, driver, _lock: lock }))
    }
}

async fn chosen_driver(
    given: Option<DriverName>,
    api: &Api,
    data: &DataFolder,
    config: &Config,
) -> Result<(Arc<dyn Driver>, Option<String>)> {
    let name = given.or(config.machine).unwrap_or(DriverName::Sandbox);
    if name == DriverName::Host {
        bail!(
            "the host driver has no walls: whoever has a token would be you, on your files; choose another with --machine"
        );
    }
    best(name, &typical(api, name), data, config).await
}

/// What the machines are like for which a driver is chosen: the type that is given where none is asked for.
fn typical(api: &Api, driver: DriverName) -> MachineSpec {
    let first = api.vm_types.first().map(|(_, kind)| kind.clone()).unwrap_or_default();
    let network = first.network.unwrap_or(driver.usual_network().into());
    MachineSpec { image: first.image, ..MachineSpec::new(MachineId(String::new()), network) }
}

async fn serve(machines: &Machines, listen: SocketAddr, interrupts: &mut Interrupts) -> Result<u8> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("can't listen on {listen}"))?;
    let address = listener.local_addr()?;
    say!("http://{address}");
    if !address.ip().is_loopback() {
        eprintln!(
            "hearth: {address} can be reached from elsewhere, and tokens go there unencrypted: put a proxy with TLS in front"
        );
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, machines.router(), stop.clone()));
    interrupts.next().await;
    eprintln!("hearth: shutting down; once more ends at once");
    stop.cancel();
    let ending = async { tokio::join!(machines.shut_down(), serving) };
    tokio::select! {
        (failed, _) = ending => {
            for failure in &failed {
                eprintln!("hearth: {failure}");
            }
            Ok(if failed.is_empty() { exit::SUCCESS } else { exit::MACHINE })
        }
        () = interrupts.next() => Ok(exit::CANCELLED),
    }
}

/// The key of tokens; there is none by default.
pub(crate) fn key() -> Result<Key> {
    let secret = std::env::var_os(SECRET_VARIABLE).unwrap_or_default();
    let secret = secret.as_encoded_bytes();
    if secret.is_empty() {
        bail!(
            "{SECRET_VARIABLE} is not set: it holds the key of all tokens; make one with: openssl rand -hex 32"
        );
    }
    Key::new(secret).with_context(|| format!("{SECRET_VARIABLE} is too weak"))
}

/// Keeps a second server away from the data folder: it would take our machines for dead ones' remains.
fn lock(data: &DataFolder) -> Result<FolderLock> {
    Ok(FolderLock::take(data.root(), LOCK_FILE)?)
}

/// What is wrong with what can be asked for, whether or not it is served.
pub(super) fn check(config: &Config) -> Result<()> {
    api_config(None, &[], &config.serve, Path::new("")).map(drop)
}

fn api_config(
    network: Option<Network>,
    vm_types: &[String],
    serve: &ServeConfig,
    data: &Path,
) -> Result<Api> {
    let mut api = Api::new(data);
    let given: Vec<(String, VmType)> = if vm_types.is_empty() {
        let configured = serve.vm_types.iter().map(|kind| {
            let policy = NetworkPolicy::parse(kind.allow_hosts.iter().map(String::as_str));
            let policy =
                policy.with_context(|| format!("allow-hosts of machine type {:?} is wrong", kind.name))?;
            let kind_of = VmType {
                image: kind.image.clone(),
                vcpus: kind.vcpus,
                memory_mib: kind.memory,
                disk_mib: kind.disk,
                network: kind.network.map(Network::from).or(network),
                policy,
                warm: kind.warm,
            };
            Ok((kind.name.clone(), kind_of))
        });
        configured.collect::<Result<_>>()?
    } else {
        let named = vm_types.iter().map(|given| {
            let (name, image) = given.split_once('=').map_or((given.as_str(), None), |(n, i)| (n, Some(i)));
            (name.to_owned(), VmType { image: image.map(str::to_owned), network, ..VmType::default() })
        });
        named.collect()
    };
    if given.is_empty() {
        for (_, kind) in &mut api.vm_types {
            kind.network = network;
        }
    } else {
        api.vm_types = given;
    }
    for (place, (name, _)) in api.vm_types.iter().enumerate() {
        if name.is_empty() || api.vm_types[..place].iter().any(|(other, _)| other == name) {
            bail!("machine type {name:?} is named twice, or has no name");
        }
    }
    if !serve.tiers.is_empty() {
        api.tiers = serve.tiers.clone();
        api.tiers.entry(DEFAULT_TIER.to_owned()).or_default();
    }
    if let Some(machines) = serve.machines {
        api.all_machines = machines;
    }
    Ok(api)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_chosen_for_the_image_that_a_named_type_has() {
        let types = ["bionic-test=small".to_owned()];
        let api = api_config(Some(Network::None), &types, &ServeConfig::default(), Path::new("")).unwrap();
        let typical = typical(&api, DriverName::Vm);
        assert_eq!((typical.image.as_deref(), typical.network), (Some("small"), Network::None));
    }
}
