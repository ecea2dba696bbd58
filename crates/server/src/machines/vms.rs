//! Machines: started, listed, ended.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json as Answer};
use machine::Isolation;

use super::Service;
use super::authenticate::Known;
use super::error::ApiError;
use super::read::Json;
use super::registry::{Session, Visit, Vm};
use super::wire::{self, Logs, NewVm, Pool, Status, Usage, VmList, VmStatus};

impl Service {
    /// The caller's machine of this id.
    pub(super) fn vm(&self, known: &Known, id: &str) -> Result<Arc<Vm>, ApiError> {
        self.registry.find(&known.caller.subject, id).ok_or_else(|| ApiError::no_vm(id))
    }

    /// Begins a session of the caller.
    pub(super) fn session(&self, known: &Known) -> Result<Session, ApiError> {
        Ok(self.registry.begin_session(&known.caller.subject, known.tier)?)
    }

    /// Begins a session in the caller's machine of this id, once it is up.
    pub(super) async fn visit(&self, known: &Known, id: &str) -> Result<Visit, ApiError> {
        let vm = self.vm(known, id)?;
        let session = self.session(known)?;
        enter(vm, session).await
    }

    /// Starts a machine and waits until it is up. It is deleted when the wait is given up.
    pub(super) async fn start_and_wait(
        self: &Arc<Self>,
        known: &Known,
        vm_type: Option<&str>,
        name: Option<String>,
    ) -> Result<Passing, ApiError> {
        let passing = Passing::new(self, self.start(known, vm_type, name)?);
        let vm = passing.vm();
        let is_up = vm.up.read().await.is_some();
        if is_up {
            return Ok(passing);
        }
        Err(match vm.status() {
            (_, Some(error)) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error),
            _ if self.stop.is_cancelled() => ApiError::ending(),
            _ => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the machine was deleted before it was up"),
        })
    }
}

/// Begins a session in a machine, once it is up.
pub(super) async fn enter(vm: Arc<Vm>, session: Session) -> Result<Visit, ApiError> {
    let id = vm.id.clone();
    let visit = Visit::begin(vm, session).await;
    visit.map_err(|reason| ApiError::conflict(format!("machine {id}: {reason}")))
}

/// A machine that is deleted when this is dropped, unless it is kept.
pub(super) struct Passing {
    service: Arc<Service>,
    vm: Arc<Vm>,
    kept: bool,
}

impl Passing {
    fn new(service: &Arc<Service>, vm: Arc<Vm>) -> Self {
        Passing { service: Arc::clone(service), vm, kept: false }
    }

    pub(super) fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if !self.kept {
            let (service, vm) = (Arc::clone(&self.service), Arc::clone(&self.vm));
            // Nobody waits for it; what is not ended is removed by the next start.
            self.service.tasks.spawn(async move { drop(service.delete(vm).await) });
        }
    }
}

/// `GET /api/vms`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
) -> Answer<VmList> {
    let vms = service.registry.of(&known.caller.subject);
    Answer(VmList { vms: vms.iter().map(|vm| vm.view()).collect() })
}

/// `POST /api/vms`
pub(super) async fn start(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Json(wanted): Json<NewVm>,
) -> Result<(StatusCode, Answer<VmStatus>), ApiError> {
    if wanted.wait == Some(false) {
        let vm = service.start(&known, wanted.vm_type.as_deref(), wanted.vm_name)?;
        let answer = VmStatus { id: vm.id.clone(), status: Status::Starting };
        return Ok((StatusCode::ACCEPTED, Answer(answer)));
    }
    let passing = service.start_and_wait(&known, wanted.vm_type.as_deref(), wanted.vm_name).await?;
    let answer = VmStatus { id: passing.vm().id.clone(), status: Status::Running };
    passing.keep();
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// `GET /api/vms/{id}`
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Answer<wire::Vm>, ApiError> {
    Ok(Answer(service.vm(&known, &id)?.view()))
}

/// `DELETE /api/vms/{id}`
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Answer<VmStatus>, ApiError> {
    let vm = service.vm(&known, &id)?;
    Ok(Answer(service.delete(vm).await?))
}

/// `GET /api/vms/{id}/logs`
pub(super) async fn logs(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
) -> Result<Answer<Logs>, ApiError> {
    let (entries, dropped) = service.vm(&known, &id)?.log.read();
    Ok(Answer(Logs { entries, dropped }))
}

/// `GET /api/pool`
pub(super) async fn pool(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
) -> Answer<Pool> {
    let driver = service.source.driver();
    let capabilities = driver.capabilities();
    let isolation = match capabilities.isolation {
        Isolation::Host => "host",
        Isolation::Namespaces => "namespaces",
        Isolation::VirtualMachine => "virtual_machine",
    };
    let subject = &known.caller.subject;
    Answer(Pool {
        driver: driver.name().to_owned(),
        isolation: isolation.to_owned(),
        snapshots: capabilities.snapshots,
        vm_types: service.config.vm_types.iter().map(|(name, _)| name.clone()).collect(),
        machines: service.registry.len(),
        machine_limit: service.config.all_machines,
        caller: Usage {
            tier: known.caller.tier.clone(),
            machines: service.registry.of(subject).len(),
            machine_limit: known.tier.machines,
            sessions: service.registry.sessions(subject),
            session_limit: known.tier.sessions,
        },
        warm: service.source.warm(),
    })
}
