//! `POST /webhook`: what GitHub tells, acknowledged once it is durable.
//!
//! Every webhook goes this way, and is answered where it ends:
//!
//! ```text
//! allowed address? ─► not too often? ─► a signature? ─► whole, and room for it? ─► signed? ─► JSON? ─► durable? ─► 200
//!       403               429            400, 429          413, 408, 503         403, 429     400       503
//! ```
//!
//! Nothing in it is believed, and nothing but its size looked at, before its signature is checked. Wrongly signed ones
//! are limited by address, rightly signed ones are not: everybody on GitHub can have it send webhooks, signed with
//! another secret, from the addresses that it sends all from. What an address that has sent too many still costs is
//! bounded instead: its large bodies have little memory, and are hashed one after another.

mod allowed;
mod body;
mod head;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use forge::github::event::answer;
use forge::github::signature::{self, Secrets, SignatureError};
use model::Timestamp;
use serde_json::json;
use store::record::{NewDelivery, Receipt};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::api::error::ApiError;
use crate::http::Peer;
use crate::rate::{Limiter, Rate};
use crate::server::Shared;

pub use allowed::Allowed;
pub use body::BODY_BYTES;
use body::{Bodies, Room, Sender, USUAL_BYTES, Whole, json_of};
use head::Head;

/// Webhooks with a wrong signature that one address may send: somebody who sets up a webhook tries a few secrets,
/// and whoever guesses one gets nowhere.
pub const REFUSED_PER_MINUTE: u32 = 60;

/// When it is worth sending a webhook again that the store had no room for, in seconds.
const RETRY_SECONDS: u64 = 30;

/// Large bodies of [suspects](Sender::Suspect) that are hashed at once: the other cores are for those who are none.
const SUSPECTS_HASHED: usize = 1;

/// Large bodies of all others that are hashed at once. One takes a tenth of a second; GitHub waits ten for the answer.
const OTHERS_HASHED: usize = 2;

/// What the operator decides.
pub struct WebhookConfig {
    /// What webhooks are signed with.
    pub secrets: Secrets,
    /// Who may send webhooks.
    pub allowed: Allowed,
    /// How many webhooks one address may send. Without it, as many as it likes: GitHub sends none a second time.
    pub rate: Option<Rate>,
    /// How many wrongly signed ones.
    pub refused_rate: Rate,
}

impl WebhookConfig {
    /// Signed with one of these, from anywhere.
    #[must_use]
    pub fn new(secrets: Secrets) -> WebhookConfig {
        WebhookConfig {
            secrets,
            allowed: Allowed::default(),
            rate: None,
            refused_rate: Rate { per_minute: REFUSED_PER_MINUTE },
        }
    }
}

/// Takes webhooks in.
pub(crate) struct Intake {
    secrets: Arc<Secrets>,
    allowed: Allowed,
    rate: Option<Limiter>,
    refused: Limiter,
    bodies: Bodies,
    suspects_hashed: Semaphore,
    others_hashed: Semaphore,
}

impl Intake {
    pub(crate) fn new(config: WebhookConfig) -> Intake {
        Intake {
            secrets: Arc::new(config.secrets),
            allowed: config.allowed,
            rate: config.rate.map(Limiter::new),
            refused: Limiter::new(config.refused_rate),
            bodies: Bodies::default(),
            suspects_hashed: Semaphore::new(SUSPECTS_HASHED),
            others_hashed: Semaphore::new(OTHERS_HASHED),
        }
    }
}

impl Intake {
    /// Checks a webhook: small ones at once, large ones beside the others, in threads that may take their time.
    async fn check(
        &self,
        headers: &HeaderMap,
        body: Whole,
        sender: Sender,
    ) -> Result<Result<Signed, Refusal>, ApiError> {
        if body.bytes.len() <= USUAL_BYTES {
            return Ok(check(&self.secrets, headers, body));
        }
        let hashed = match sender {
            Sender::Suspect => &self.suspects_hashed,
            Sender::Unknown => &self.others_hashed,
        };
        let unchecked = || ApiError::unavailable("the webhook could not be checked", RETRY_SECONDS);
        let _turn = hashed.acquire().await.map_err(|_| unchecked())?;
        let (secrets, headers) = (Arc::clone(&self.secrets), headers.clone());
        let checking = tokio::task::spawn_blocking(move || check(&secrets, &headers, body)).await;
        checking.map_err(|_| unchecked())
    }

    /// What is answered to a webhook that nobody here has signed: why, and after too many of them, only to wait.
    fn refuse(&self, client: IpAddr, error: &SignatureError) -> ApiError {
        match self.refused.take(client) {
            Ok(()) => unsigned(error),
            Err(wait) => too_often(wait),
        }
    }
}

/// The route.
pub(crate) async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let outcome = take(&shared, &parts, body).await;
    let (event, word) = match &outcome {
        Ok(taken) => (taken.event.as_str(), taken.outcome),
        // Names of events that nobody has signed are anything.
        Err(error) => ("unknown", error.code()),
    };
    shared.metrics.webhook(event, word, begun.elapsed());
    match &outcome {
        Ok(taken) => {
            let Taken { event, outcome, delivery, repository, .. } = taken;
            let repository = repository.as_deref().unwrap_or_default();
            info!(delivery, event, repository, outcome, "webhook accepted");
        }
        // Whoever sends too many is not to fill the log with them.
        Err(error) if error.code() == "too_many_requests" => debug!(reason = %error, "webhook refused"),
        Err(error) => {
            let client = shared.proxies.client(parts.extensions.get::<Peer>().copied(), &parts.headers);
            warn!(%client, code = error.code(), reason = %error, "webhook refused");
        }
    }
    outcome.into_response()
}

/// A webhook that is durable.
struct Taken {
    event: String,
    delivery: String,
    repository: Option<String>,
    /// For metrics.
    outcome: &'static str,
    message: String,
    status: &'static str,
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response {
        Json(json!({"message": self.message, "status": self.status})).into_response()
    }
}

async fn take(shared: &Shared, parts: &Parts, body: Body) -> Result<Taken, ApiError> {
    let intake = &shared.intake;
    let client = shared.proxies.client(parts.extensions.get::<Peer>().copied(), &parts.headers);
    if !intake.allowed.has(client) {
        let reason =
            format!("webhooks are not taken from {client}: it is not in the list of allowed addresses");
        return Err(ApiError::forbidden(reason));
    }
    if let Some(rate) = &intake.rate {
        rate.take(client).map_err(too_often)?;
    }
    signature::check_form(signature_of(&parts.headers)).map_err(|error| intake.refuse(client, &error))?;
    let sender = match intake.refused.check(client) {
        Ok(()) => Sender::Unknown,
        Err(_) => Sender::Suspect,
    };
    let body = intake.bodies.read(&parts.headers, body, sender).await?;
    let signed = intake.check(&parts.headers, body, sender).await?.map_err(|refusal| match refusal {
        Refusal::Unsigned(error) => intake.refuse(client, &error),
        Refusal::Unfit(error) => error,
    })?;
    // Its memory is held until it is durable.
    let _room = signed.room;
    keep(shared, signed.head, signed.payload).await
}

/// A webhook whose signature fits.
struct Signed {
    head: Head,
    payload: Vec<u8>,
    room: Room,
}

/// Why a webhook is not taken.
enum Refusal {
    Unsigned(SignatureError),
    Unfit(ApiError),
}

fn signature_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(signature::HEADER).map(|value| value.to_str().unwrap_or_default())
}

/// Checks the signature, and reads what is to be known before it is kept.
fn check(secrets: &Secrets, headers: &HeaderMap, body: Whole) -> Result<Signed, Refusal> {
    secrets.verify(&body.bytes, signature_of(headers)).map_err(Refusal::Unsigned)?;
    let payload = json_of(headers, body.bytes).map_err(Refusal::Unfit)?;
    let head = Head::read(headers, &payload).map_err(Refusal::Unfit)?;
    Ok(Signed { head, payload, room: body.room })
}

/// Makes a webhook durable, and says what is answered.
async fn keep(shared: &Shared, head: Head, payload: Vec<u8>) -> Result<Taken, ApiError> {
    let delivery = NewDelivery {
        guid: head.guid.clone(),
        event: head.event.clone(),
        action: head.action.clone(),
        repository: head.repository.clone(),
        payload,
        received_at: Timestamp::now(),
    };
    let receipt = shared.store.receive(delivery).await.map_err(|error| {
        shared.metrics.error("webhook");
        ApiError::unavailable(format!("the webhook could not be kept: {error}"), RETRY_SECONDS)
    })?;
    shared.control.nudge();
    let message = answer(&head.event, &head.told);
    Ok(match receipt {
        Receipt::Known(_, state) => Taken {
            message: format!("Webhook {} was received before ({state}); nothing is run twice", head.guid),
            status: "acknowledged",
            outcome: "known",
            event: head.event,
            delivery: head.guid,
            repository: head.repository,
        },
        Receipt::New(_) | Receipt::Again(_) => {
            let status = if head.runs() { "success" } else { "acknowledged" };
            let (delivery, repository) = (head.guid, head.repository);
            Taken { message, status, outcome: "received", event: head.event, delivery, repository }
        }
    })
}

fn too_often(wait: Duration) -> ApiError {
    ApiError::too_many("too many webhooks from this address", wait)
}

fn unsigned(error: &SignatureError) -> ApiError {
    match error {
        SignatureError::Missing | SignatureError::Malformed => ApiError::bad(error.to_string()),
        SignatureError::Mismatch => ApiError::forbidden(error.to_string()),
    }
}

/// A header's text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| ApiError::bad(format!("the header {name} is not text")))
}
