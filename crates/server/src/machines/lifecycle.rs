//! Beginnings and ends of machines, each in a task of its own: a client that breaks off does not
//! leave a machine half started, half frozen, or half gone.
//!
//! ```text
//!            ┌────────────► failed ◄──────────────┐
//!            │                │ ▲                 │
//! starting ──┴─► running ─────┼─┴─► snapshotting ─┤
//!                 ▲  ▲        ▼         │         │
//!                 │  └── rolling back ◄─┼─────────┘
//!                 └─────────────────────┘
//! any ──► ending ──► deleted
//! ```

use std::sync::Arc;

use axum::http::StatusCode;
use machine::{Machine, MachineError, MachineSpec, SnapshotId};
use model::MachineId;
use tokio::sync::OwnedRwLockWriteGuard;
use tokio::task::JoinSet;

use super::authenticate::Known;
use super::error::ApiError;
use super::registry::{ENDING, Kept, NotAdded, Up, Vm};
use super::wire::{SnapshotView, Status, VmStatus};
use super::{Service, VmType, snapshots};

/// Letters of a machine's name; a host name has as many.
const NAME_CHARS: usize = 64;

/// The right to change a machine: no session is in it.
type Held = OwnedRwLockWriteGuard<Option<Up>>;

impl Service {
    /// The type of this name, or the default.
    fn vm_type(&self, name: Option<&str>) -> Result<(&str, &VmType), ApiError> {
        let types = &self.config.vm_types;
        let found = types.iter().find(|(known, _)| name.is_none_or(|name| name == known));
        found.map(|(name, kind)| (name.as_str(), kind)).ok_or_else(|| {
            let known: Vec<&str> = types.iter().map(|(name, _)| name.as_str()).collect();
            let name = name.unwrap_or_default();
            ApiError::bad(format!("no machine type {name:?}; known: {}", known.join(", ")))
        })
    }

    /// Begins to start a machine.
    pub(super) fn start(
        self: &Arc<Self>,
        known: &Known,
        vm_type: Option<&str>,
        name: Option<String>,
    ) -> Result<Arc<Vm>, ApiError> {
        let (vm_type, _) = self.vm_type(vm_type)?;
        if let Some(name) = &name
            && (name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control))
        {
            return Err(ApiError::bad(format!("vm_name has 1 to {NAME_CHARS} printable characters")));
        }
        let id = random_id("vm").map_err(|error| ApiError::conflict(error.to_string()))?;
        let owner = known.caller.subject.clone();
        let vm = Arc::new(Vm::new(id, owner, name, vm_type.to_owned(), self.stop.child_token()));
        // Nobody knows the machine yet, so nobody else has the lock.
        let held = Arc::clone(&vm.up).try_write_owned().map_err(|_| ApiError::ending())?;
        let added = self.registry.add(Arc::clone(&vm), known.tier, self.config.all_machines);
        added.map_err(|refused| match refused {
            NotAdded::Limit(reached) => ApiError::from(reached),
            NotAdded::Closed => ApiError::ending(),
        })?;
        self.tasks.spawn(Arc::clone(self).bring_up(Arc::clone(&vm), held));
        if let Some(idle) = known.tier.idle() {
            self.tasks.spawn(Arc::clone(self).end_when_unused(Arc::clone(&vm), idle));
        }
        Ok(vm)
    }

    async fn bring_up(self: Arc<Self>, vm: Arc<Vm>, mut held: Held) {
        vm.log.say(format!("starting a {}", vm.vm_type));
        let leased = async {
            let machine = self.source.lease(&vm.vm_type, self.spec(&vm)).await?;
            up(machine).await.map_err(|error| error.to_string())
        };
        let leased = tokio::select! {
            biased;
            // Dropping a lease undoes it.
            () = vm.ended.cancelled() => return,
            leased = leased => leased,
        };
        self.settle(&vm, &mut held, leased);
    }

    /// What the machine shall be.
    pub(super) fn spec(&self, vm: &Vm) -> MachineSpec {
        let found = self.config.vm_types.iter().find(|(name, _)| *name == vm.vm_type);
        found.map(|(_, kind)| kind).cloned().unwrap_or_default().spec(MachineId(vm.id.clone()))
    }

    /// Destroys a machine and waits until it is gone.
    pub(super) async fn delete(self: &Arc<Self>, vm: Arc<Vm>) -> Result<VmStatus, ApiError> {
        let service = Arc::clone(self);
        self.finish(async move { service.end(&vm).await }).await
    }

    async fn end(&self, vm: &Vm) -> Result<VmStatus, ApiError> {
        vm.set_status(Status::Ending);
        vm.ended.cancel();
        let mut held = Arc::clone(&vm.up).write_owned().await;
        let destroyed = match held.take() {
            Some(up) => up.machine.destroy().await,
            None => Ok(()),
        };
        let taken = std::mem::take(&mut *vm.snapshots());
        for kept in taken {
            snapshots::remove_files(&kept.snapshot).await;
        }
        self.registry.remove(&vm.id);
        destroyed.map_err(|error| ApiError::machine(&error))?;
        Ok(VmStatus { id: vm.id.clone(), status: Status::Deleted })
    }

    /// Freezes a machine that nobody is in, and lets it go on.
    pub(super) async fn snapshot(
        self: &Arc<Self>,
        vm: Arc<Vm>,
        id: SnapshotId,
        view: SnapshotView,
    ) -> Result<(), ApiError> {
        let mut held = hold(&vm)?;
        let service = Arc::clone(self);
        self.finish(async move {
            if let Some(up) = &*held {
                // Freezing ends it.
                let restorable = up.machine.guard.check_restorable().await;
                restorable.map_err(|error| ApiError::machine(&error))?;
            }
            let up_now = held.take().ok_or_else(|| not_running(&vm))?;
            vm.set_status(Status::Snapshotting);
            let driver = service.source.driver();
            let taken = driver.snapshot(up_now.machine, &id).await;
            let snapshot = match taken {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    service.settle(&vm, &mut held, Err(error.to_string()));
                    return Err(ApiError::machine(&error));
                }
            };
            vm.log.say(format!("snapshot {id}"));
            vm.snapshots().push(Kept { snapshot: snapshot.clone(), view });
            service.restore(&vm, &mut held, &snapshot).await
        })
        .await
    }

    /// Puts a machine that nobody is in back to a snapshot.
    pub(super) async fn roll_back(
        self: &Arc<Self>,
        vm: Arc<Vm>,
        snapshot: machine::Snapshot,
    ) -> Result<VmStatus, ApiError> {
        let mut held = hold(&vm)?;
        let service = Arc::clone(self);
        self.finish(async move {
            vm.set_status(Status::RollingBack);
            if let Some(up) = held.take()
                && let Err(error) = up.machine.destroy().await
            {
                vm.log.say(format!("while ending: {error}"));
            }
            service.restore(&vm, &mut held, &snapshot).await?;
            vm.log.say(format!("rolled back to {}", snapshot.id));
            Ok(VmStatus { id: vm.id.clone(), status: vm.status().0 })
        })
        .await
    }

    async fn restore(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        held: &mut Held,
        snapshot: &machine::Snapshot,
    ) -> Result<(), ApiError> {
        let restored = async { up(self.source.driver().restore(snapshot, self.spec(vm)).await?).await };
        let restored = tokio::select! {
            restored = restored => restored,
            // Dropping a restore undoes it.
            () = vm.ended.cancelled() => return Err(ApiError::conflict(ENDING)),
        };
        let told = restored.as_ref().err().map(ApiError::machine);
        self.settle(vm, held, restored.map_err(|error| error.to_string()));
        told.map_or(Ok(()), Err)
    }

    /// Notes how a start ended.
    fn settle(self: &Arc<Self>, vm: &Arc<Vm>, held: &mut Held, started: Result<Up, String>) {
        match started {
            Ok(up) => {
                vm.set_running(&up.machine);
                vm.log.say("running");
                let over = up.machine.guest.over();
                **held = Some(up);
                let vm = Arc::clone(vm);
                self.tasks.spawn(async move {
                    tokio::select! {
                        () = over => bury(&vm).await,
                        () = vm.ended.cancelled() => {}
                    }
                });
            }
            Err(error) => vm.set_failed(error),
        }
    }

    /// Carries something out to its end, whether or not anybody still waits for it.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = self.tasks.spawn(work).await;
        done.unwrap_or_else(|error| {
            Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("an error of Hearth's own: {error}"),
            ))
        })
    }
}

/// A machine with what its agent says of it.
async fn up(machine: Machine) -> Result<Up, MachineError> {
    match machine.guest.info().await {
        Ok(info) => Ok(Up { machine, info }),
        Err(error) => Err(MachineError {
            machine: machine.id.clone(),
            driver: machine.driver,
            operation: "greeting",
            reason: error.to_string(),
            source: Some(Box::new(error)),
        }),
    }
}

/// Removes what is left of a machine that has ended by itself, and notes why it has.
async fn bury(vm: &Vm) {
    let mut held = Arc::clone(&vm.up).write_owned().await;
    // It may have been frozen or put back meanwhile, and be another.
    let Some(mut up) = held.take_if(|up| up.machine.guest.is_over()) else { return };
    let words = up.machine.guard.last_words().await.unwrap_or_else(|| "its agent is gone".to_owned());
    vm.set_failed(format!("it has ended by itself: {words}"));
    if let Err(error) = up.machine.destroy().await {
        vm.log.say(format!("while ending: {error}"));
    }
}

/// The right to change a machine, if nobody is in it.
fn hold(vm: &Vm) -> Result<Held, ApiError> {
    Arc::clone(&vm.up).try_write_owned().map_err(|_| {
        ApiError::conflict(format!("machine {} is in use: let its sessions end, or its start", vm.id))
    })
}

fn not_running(vm: &Vm) -> ApiError {
    let (_, error) = vm.status();
    ApiError::conflict(format!("machine {} is not running: {}", vm.id, error.unwrap_or_default()))
}

/// A name that nobody has and nobody guesses.
pub(super) fn random_id(kind: &str) -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{kind}-{:016x}", u64::from_be_bytes(bytes)))
}

/// Ends everything. Says what could not be ended.
pub(super) async fn shut_down(service: &Arc<Service>) -> Vec<String> {
    let vms = service.registry.close();
    service.stop.cancel();
    let mut ends = JoinSet::new();
    for vm in vms {
        let service = Arc::clone(service);
        ends.spawn(async move { service.end(&vm).await });
    }
    let mut failed = Vec::new();
    while let Some(ended) = ends.join_next().await {
        match ended {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failed.push(error.to_string()),
            Err(error) => failed.push(error.to_string()),
        }
    }
    service.tasks.close();
    service.tasks.wait().await;
    service.source.close().await;
    failed
}
