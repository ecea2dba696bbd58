//! What the forge has told, and telling it once more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::{DeliveryId, Timestamp};
use serde::Deserialize;
use store::record::{self, NewDelivery, Receipt};

use super::error::ApiError;
use super::read::{Number, Query};
use super::wire::{Deliveries, Redelivered, WholeDelivery};
use crate::server::Shared;

/// Deliveries of one answer, unless it is asked for others.
const PAGE: usize = 50;

/// Most deliveries of one answer.
const MOST: usize = 200;

/// Which deliveries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<Deliveries>, ApiError> {
    let limit = which.limit.unwrap_or(PAGE).clamp(1, MOST);
    // One more than is shown tells whether a page follows.
    let mut deliveries = shared.store.deliveries(which.before.map(DeliveryId), limit + 1).await?;
    let more = deliveries.len() > limit;
    deliveries.truncate(limit);
    let next = deliveries.last().map(|delivery| delivery.id).filter(|_| more);
    Ok(Json(Deliveries { deliveries: deliveries.into_iter().map(Into::into).collect(), next }))
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Number(delivery): Number,
) -> Result<Json<WholeDelivery>, ApiError> {
    let (delivery, payload) = one(&shared, delivery).await?;
    // It was JSON when it was received.
    let payload = serde_json::from_slice(&payload).unwrap_or_default();
    Ok(Json(WholeDelivery { delivery: delivery.into(), payload }))
}

/// Receives a delivery anew, under an id of its own: what it starts is started again.
pub(super) async fn redeliver(
    State(shared): State<Arc<Shared>>,
    Number(delivery): Number,
) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
    let (delivery, payload) = one(&shared, delivery).await?;
    let now = Timestamp::now();
    let again = NewDelivery {
        guid: format!("again-{}-of-{}", now, delivery.id),
        event: delivery.event,
        action: delivery.action,
        repository: delivery.repository,
        payload,
        received_at: now,
    };
    let receipt = shared.store.receive(again).await?;
    shared.control.nudge();
    let (Receipt::New(delivery_id) | Receipt::Again(delivery_id) | Receipt::Known(delivery_id, _)) = receipt;
    Ok((StatusCode::ACCEPTED, Json(Redelivered { delivery_id })))
}

/// A delivery that must be there, with its payload.
async fn one(shared: &Shared, id: u64) -> Result<(record::Delivery, Vec<u8>), ApiError> {
    let found = shared.store.delivery(DeliveryId(id)).await?;
    found.ok_or_else(|| ApiError::missing(format!("delivery {id}")))
}
