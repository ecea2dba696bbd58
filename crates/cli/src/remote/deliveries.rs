//! What the forge has told: listed, shown, and worked on once more.

use anyhow::Result;
use serde_json::json;
use server::api::wire::{Deliveries, Delivery, Redelivered, WholeDelivery};

use super::connection::{Connection, query};
use super::words;
use crate::age::age;
use crate::args::{DeliveriesArgs, LimitArgs, RedeliverArgs};
use crate::json;
use crate::run::output::one_line;
use crate::table::Table;

pub(super) async fn deliveries(args: &DeliveriesArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    if let Some(id) = args.delivery {
        return show(&server, id).await;
    }
    let limit = Some(args.most.limit.to_string());
    let found: Deliveries = server.get(&query("/api/v1/deliveries", &[("limit", limit)])).await?;
    let mut table = Table::new(&["DELIVERY", "STATUS", "EVENT", "REPOSITORY", "WHY", "RECEIVED"], 4);
    for one in &found.deliveries {
        let cells = [
            one.id.to_string(),
            one.state.as_str().to_owned(),
            event(one),
            one.repository.clone().unwrap_or_default(),
            one.reason.clone().unwrap_or_default(),
        ];
        table.row_at(cells, one.received_at);
    }
    if found.deliveries.is_empty() && !server.is_json() {
        eprintln!("hearth: nothing has been delivered");
        return Ok(());
    }
    server.show(&found, &table)?;
    if found.next.is_some() {
        eprintln!("hearth: there are more{}", words::shows_more(args.most.limit, LimitArgs::MOST));
    }
    Ok(())
}

/// One with its payload.
async fn show(server: &Connection, id: u64) -> Result<()> {
    let whole: WholeDelivery = server.get(&format!("/api/v1/deliveries/{id}")).await?;
    if server.is_json() {
        say!("{}", json::pretty(&whole)?);
        return Ok(());
    }
    let one = &whole.delivery;
    let of = one.repository.as_ref().map(|name| format!(" of {}", one_line(name))).unwrap_or_default();
    say!("{}{of}, received {} ago as {}", one_line(&event(one)), age(one.received_at.0), one_line(&one.guid));
    let tries = if one.tries > 1 { format!(", after {} tries", one.tries) } else { String::new() };
    let why = one.reason.as_ref().map(|why| format!(": {}", one_line(why))).unwrap_or_default();
    say!("{}{tries}{why}", one.state.as_str());
    say!("\n{}", json::pretty(&whole.payload)?);
    Ok(())
}

fn event(delivery: &Delivery) -> String {
    match &delivery.action {
        Some(action) => format!("{} {action}", delivery.event),
        None => delivery.event.clone(),
    }
}

pub(super) async fn redeliver(args: &RedeliverArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    let path = format!("/api/v1/deliveries/{}/redeliver", args.delivery);
    let again: Redelivered = server.post(&path, &json!({})).await?;
    match server.is_json() {
        true => say!("{}", json::pretty(&again)?),
        false => say!("delivery {}", again.delivery_id),
    }
    Ok(())
}
