//! What the forge has told, and telling it once more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::{DeliveryId, Timestamp};
use serde::Deserialize;
use store::record;

use super::error::ApiError;
use super::read::{Number, Query, page};
use super::wire::{Deliveries, Redelivered, WholeDelivery};
use crate::redeliver;
use crate::server::Shared;

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
    let before = which.before.map(DeliveryId);
    let (deliveries, next) =
        page(which.limit, |most| shared.store.deliveries(before, most), |delivery| delivery.id).await?;
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

pub(super) async fn redeliver(
    State(shared): State<Arc<Shared>>,
    Number(delivery): Number,
) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
    let again = redeliver::redeliver(&*shared.store, DeliveryId(delivery), Timestamp::now()).await?;
    let delivery_id = again.ok_or_else(|| ApiError::missing(format!("delivery {delivery}")))??;
    shared.control.nudge();
    Ok((StatusCode::ACCEPTED, Json(Redelivered { delivery_id })))
}

/// A delivery that must be there, with its payload.
async fn one(shared: &Shared, id: u64) -> Result<(record::Delivery, Vec<u8>), ApiError> {
    let found = shared.store.delivery(DeliveryId(id)).await?;
    found.ok_or_else(|| ApiError::missing(format!("delivery {id}")))
}
