//! Where the API's machines come from: started when asked for, or kept warm.

use std::path::Path;
use std::sync::Arc;

use machine::image::{DEFAULT_NAME, Depth, ImageStore};
use machine::network::NetworkPolicy;
use machine::pool::{Kind, KindStatus, Pool};
use machine::{Driver, Isolation, Machine, MachineSpec, Network};
use model::MachineId;

use super::wire::Warm;
use super::{StartError, VmType};

/// A driver, with a pool of the types that are kept warm.
pub(super) struct Source {
    driver: Arc<dyn Driver>,
    pool: Option<Pool>,
}

impl Source {
    /// Checks that every type has its image, and a network that holds to its list, before anything is started or removed.
    pub(super) async fn check(
        driver: &Arc<dyn Driver>,
        data: &Path,
        types: &[(String, VmType)],
    ) -> Result<(), StartError> {
        for (name, kind) in types {
            if kind.network != Some(Network::User) && kind.policy != NetworkPolicy::default() {
                let reason = "a list of what may be reached needs a network of the machine's own: choose a driver of \
                              virtual machines, and the network user";
                return Err(StartError::Type { name: name.clone(), reason: reason.to_owned() });
            }
            let checked = driver.check(&kind.spec(MachineId(String::new())));
            checked.map_err(|refusal| StartError::Type {
                name: name.clone(),
                reason: format!("{}: {}", refusal.operation, refusal.reason),
            })?;
            let checked = check_image(driver.as_ref(), data, kind.image.as_deref()).await;
            checked.map_err(|reason| StartError::Type { name: name.clone(), reason })?;
        }
        Ok(())
    }

    /// Begins to keep machines warm. The driver has reaped.
    pub(super) fn open(
        driver: Arc<dyn Driver>,
        data: &Path,
        types: &[(String, VmType)],
    ) -> Result<Self, StartError> {
        let kind = |(name, kind): &(String, VmType)| {
            let warm = kind.warm?;
            // The pool names its machines itself.
            let spec = kind.spec(MachineId(String::new()));
            Some(Kind { name: name.clone(), spec, min: warm.min, max: warm.max })
        };
        let kinds: Vec<Kind> = types.iter().filter_map(kind).collect();
        let pool = match kinds.is_empty() {
            true => None,
            false => Some(
                Pool::open(Arc::clone(&driver), data, kinds)
                    .map_err(|error| StartError::Pool(error.to_string()))?,
            ),
        };
        Ok(Source { driver, pool })
    }

    /// Whose machines they are; it snapshots and restores them too.
    pub(super) fn driver(&self) -> &dyn Driver {
        self.driver.as_ref()
    }

    /// A machine of this type for one user; a warm one has an id of its own. Cancellable at every
    /// await. `Err` says why there is none.
    pub(super) async fn lease(&self, vm_type: &str, spec: MachineSpec) -> Result<Machine, String> {
        match self.pool.as_ref().filter(|pool| pool.status().iter().any(|kind| kind.name == vm_type)) {
            Some(pool) => pool.lease(vm_type).await.map_err(|error| error.to_string()),
            None => self.driver.start(spec).await.map_err(|error| error.to_string()),
        }
    }

    /// How many machines are kept warm, by type.
    pub(super) fn warm(&self) -> Vec<Warm> {
        let status = self.pool.as_ref().map(Pool::status).unwrap_or_default();
        status.into_iter().map(warm).collect()
    }

    /// Destroys all that are warm.
    pub(super) async fn close(&self) {
        if let Some(pool) = &self.pool {
            pool.close().await;
        }
    }
}

fn warm(kind: KindStatus) -> Warm {
    Warm {
        vm_type: kind.name,
        ready: kind.ready,
        starting: kind.starting,
        wanted: kind.wanted,
        leases: kind.leases,
        misses: kind.misses,
        failures: kind.failures,
        deaths: kind.deaths,
        last_failure: kind.last_failure,
    }
}

async fn check_image(driver: &dyn Driver, data: &Path, image: Option<&str>) -> Result<(), String> {
    if driver.capabilities().isolation == Isolation::VirtualMachine {
        let (data, image) = (data.to_owned(), image.unwrap_or(DEFAULT_NAME).to_owned());
        let checked = tokio::task::spawn_blocking(move || verify(&data, &image)).await;
        return checked.unwrap_or_else(|error| Err(error.to_string()));
    }
    match image {
        None => Ok(()),
        Some(image) => Err(format!(
            "machines of the {} driver have no images, and this type names {image:?}; take the image away, \
             or choose a driver of virtual machines",
            driver.name()
        )),
    }
}

fn verify(data: &Path, image: &str) -> Result<(), String> {
    let store = ImageStore::open(data).map_err(|error| error.to_string())?;
    let image = store.get(image).map_err(|error| error.to_string())?;
    store.verify(&image, Depth::Memo).map_err(|error| error.to_string())
}
