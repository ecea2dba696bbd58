//! Where the API's machines come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use machine::image::{DEFAULT_NAME, Depth, ImageStore};
use machine::{Driver, Isolation, Machine, MachineError, MachineSpec};
use serde::{Deserialize, Serialize};

/// Hands out machines: started when asked for, or kept ready by a pool.
#[async_trait]
pub trait Source: Send + Sync {
    /// Whose machines they are; it snapshots and restores them too.
    fn driver(&self) -> &dyn Driver;

    /// Whether there is such an image; `None` is the driver's own. Asked once for each type, at start-up.
    /// `Err` says what is wrong and what to do.
    async fn check_image(&self, image: Option<&str>) -> Result<(), String>;

    /// A machine for one user, as `spec` wants it; it may have another id. Cancellable at every await.
    async fn lease(&self, spec: MachineSpec) -> Result<Machine, MachineError>;

    /// How many machines are kept ready, for each image and size.
    fn warm(&self) -> Vec<Warm>;
}

/// Machines of one kind that are kept ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warm {
    /// Of which image.
    pub image: String,
    /// Virtual CPUs of each.
    pub vcpus: u32,
    /// Memory of each.
    pub memory_mib: u64,
    /// How many are ready.
    pub ready: usize,
    /// How many are being made ready.
    pub starting: usize,
    /// How many shall be.
    pub wanted: usize,
}

/// Starts each machine when it is asked for.
pub struct OnDemand {
    driver: Arc<dyn Driver>,
    data: PathBuf,
}

impl OnDemand {
    /// Machines of this driver, from the images of this data folder where they have any.
    pub fn new(driver: Arc<dyn Driver>, data: impl Into<PathBuf>) -> Self {
        OnDemand { driver, data: data.into() }
    }
}

#[async_trait]
impl Source for OnDemand {
    fn driver(&self) -> &dyn Driver {
        self.driver.as_ref()
    }

    async fn check_image(&self, image: Option<&str>) -> Result<(), String> {
        if self.driver.capabilities().isolation == Isolation::VirtualMachine {
            let (data, image) = (self.data.clone(), image.unwrap_or(DEFAULT_NAME).to_owned());
            let checked = tokio::task::spawn_blocking(move || verify(&data, &image)).await;
            return checked.unwrap_or_else(|error| Err(error.to_string()));
        }
        match image {
            None => Ok(()),
            Some(image) => Err(format!(
                "machines of the {} driver have no images, and this type names {image:?}; take the image away, \
                 or choose a driver of virtual machines",
                self.driver.name()
            )),
        }
    }

    async fn lease(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.driver.start(spec).await
    }

    fn warm(&self) -> Vec<Warm> {
        Vec::new()
    }
}

fn verify(data: &Path, image: &str) -> Result<(), String> {
    let store = ImageStore::open(data).map_err(|error| error.to_string())?;
    let image = store.get(image).map_err(|error| error.to_string())?;
    store.verify(&image, Depth::Memo).map_err(|error| error.to_string())
}
