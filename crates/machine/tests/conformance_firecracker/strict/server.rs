//! The world behind a Unix socket.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::description::Description;
use super::faults::{Fault, Trap};
use super::guest;
use super::world::{Answer, Deed, World};

/// Where the guest's agent listens.
pub(crate) const AGENT_PORT: u32 = 1024;

/// Bytes of an answer that has no end, as far as the client can tell.
const FLOOD_BYTES: usize = 4 * 1024 * 1024;

/// A server and its VM. Dropping it ends both.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) socket: PathBuf,
    shared: Arc<Shared>,
    task: AbortOnDropHandle<()>,
}

struct Shared {
    root: PathBuf,
    world: Mutex<World>,
    trap: Option<Trap>,
    guest: Mutex<Option<AbortOnDropHandle<()>>>,
    ended: Notify,
}

impl Server {
    /// Listens on `api.sock` in `root`.
    pub(crate) fn start(root: &Path, id: &str, trap: Option<Trap>) -> Self {
        Self::start_at(&root.join("api.sock"), root, id, trap)
    }

    /// Listens on `socket`; the VM's paths are relative to `root`.
    pub(crate) fn start_at(socket: &Path, root: &Path, id: &str, trap: Option<Trap>) -> Self {
        let listener = UnixListener::bind(socket).expect("the socket can be bound");
        let world = World::new(Description::read(), root, id);
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            world: Mutex::new(world),
            trap,
            guest: Mutex::new(None),
            ended: Notify::new(),
        });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let ending = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            tokio::select! {
                served = axum::serve(listener, router) => drop(served),
                () = ending.ended.notified() => {}
            }
            // The listener and every connection went with the arm above; so does the guest.
            ending.guest.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        Self { socket: socket.to_owned(), shared, task: AbortOnDropHandle::new(task) }
    }

    /// The requests that were accepted so far.
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner).accepted.clone()
    }

    /// Serves until the VM's process would end.
    pub(crate) async fn until_ended(self) {
        let _ = self.task.await;
    }
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, body: Bytes) -> Response<Body> {
    let call = format!("{method} {}", uri.path());
    if let Some(trap) = shared.trap.as_ref().filter(|trap| trap.call == call) {
        return spring(&shared, &trap.fault).await;
    }
    let body: Option<Value> = match body.is_empty() {
        true => None,
        false => match serde_json::from_slice(&body) {
            Ok(body) => Some(body),
            Err(error) => return refusal(&format!("The body is no JSON: {error}")),
        },
    };
    write_down(&shared, &call, body.as_ref());
    let answer = {
        let mut world = shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.request(method.as_str(), uri.path(), body.as_ref())
    };
    match answer {
        Answer::Told(body) => reply(StatusCode::OK, Body::from(body.to_string())),
        Answer::Refused(fault) => refusal(&fault),
        Answer::RefusedForGood(fault) => {
            shared.ended.notify_one();
            refusal(&fault)
        }
        Answer::Done(deed) => match carry_out(&shared, deed) {
            Ok(()) => reply(StatusCode::NO_CONTENT, Body::empty()),
            Err(error) => refusal(&format!("Start microvm error: vsock: {error}")),
        },
    }
}

/// What it was asked for, a line each, for tests of programs that start this one.
fn write_down(shared: &Shared, call: &str, body: Option<&Value>) {
    let path = shared.root.join("asked.jsonl");
    let mut asked = std::fs::File::options().append(true).create(true).open(path).expect("a journal");
    writeln!(asked, "{}", json!([call, body])).expect("a line");
}

fn carry_out(shared: &Shared, deed: Deed) -> std::io::Result<()> {
    if let Deed::OpenGuest(Some(socket)) = deed {
        let guest = guest::open(&socket, AGENT_PORT)?;
        *shared.guest.lock().unwrap_or_else(PoisonError::into_inner) = Some(guest);
    }
    Ok(())
}

async fn spring(shared: &Shared, fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Refuse(words) => refusal(words),
        Fault::RefuseOddly => reply(StatusCode::INTERNAL_SERVER_ERROR, Body::from("<html>oops</html>")),
        Fault::Babble => reply(StatusCode::OK, Body::from("babble")),
        Fault::Flood => reply(StatusCode::OK, Body::from(vec![b' '; FLOOD_BYTES])),
        Fault::Hang => std::future::pending().await,
        // A handler that panics takes its connection along, and nothing else.
        Fault::HangUp => std::panic::resume_unwind(Box::new("hung up")),
        Fault::Die => {
            shared.ended.notify_one();
            std::panic::resume_unwind(Box::new("died"))
        }
    }
}

fn refusal(fault: &str) -> Response<Body> {
    reply(StatusCode::BAD_REQUEST, Body::from(json!({"fault_message": fault}).to_string()))
}

fn reply(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
