//! A running machine, as those who hold it know it.

use async_trait::async_trait;
use model::MachineId;

use super::vmm::Vmm;
use super::{Facts, NAME};
use crate::{MachineError, MachineGuard, vm};

/// Owns a Firecracker. Dropping it ends the machine.
#[derive(Debug)]
pub(super) struct FirecrackerMachine {
    id: MachineId,
    pub(super) facts: Facts,
    pub(super) vmm: Vmm,
}

impl FirecrackerMachine {
    pub(super) fn new(id: MachineId, facts: Facts, vmm: Vmm) -> Self {
        Self { id, facts, vmm }
    }
}

#[async_trait]
impl MachineGuard for FirecrackerMachine {
    async fn destroy(self: Box<Self>) -> Result<(), MachineError> {
        let Self { id, vmm, .. } = *self;
        vmm.end().await.map_err(|failure| failure.of(id, NAME))
    }

    async fn last_words(&mut self) -> Option<String> {
        self.vmm.last_words().await
    }

    async fn check_restorable(&self) -> Result<(), MachineError> {
        let Some(data) = self.vmm.data() else { return Ok(()) };
        let found = vm::image(data, &self.facts.image).await;
        found.map(drop).map_err(|failure| failure.of(self.id.clone(), NAME))
    }
}
