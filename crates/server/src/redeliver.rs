//! A delivery is worked on once more, because somebody asks: the same for pages and the API.

use model::{DeliveryId, DeliveryState, Timestamp};
use store::record::{NewDelivery, Receipt};
use store::{Store, StoreError};

use crate::control::ControlError;

/// Works on a delivery once more. One that had failed is tried anew, as when the forge sends it again. What had come to an
/// end starts again whatever it starts, as a delivery of its own. One that is still worked on is left alone. Gives the
/// delivery that is worked on; `None` where there is none of this number.
pub(crate) async fn redeliver(
    store: &dyn Store,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Option<Result<DeliveryId, ControlError>>, StoreError> {
    let Some((delivery, payload)) = store.delivery(id).await? else { return Ok(None) };
    if payload.is_empty() {
        let problem = format!("the body of delivery {id} was forgotten: have the forge send it again");
        return Ok(Some(Err(ControlError::Unfit(problem))));
    }
    let guid = match delivery.state {
        DeliveryState::Received => return Ok(Some(Ok(id))),
        DeliveryState::Failed => delivery.guid,
        // No webhook has an id with a slash.
        DeliveryState::Expanded | DeliveryState::Ignored => format!("{}/again-{now}", delivery.guid),
    };
    let again = NewDelivery {
        guid,
        event: delivery.event,
        action: delivery.action,
        repository: delivery.repository,
        payload,
        received_at: now,
    };
    let (Receipt::New(id) | Receipt::Again(id) | Receipt::Known(id, _)) = store.receive(again).await?;
    Ok(Some(Ok(id)))
}
