//! `/deliveries`: what the forge has told, and what came of it; `/deliveries/{id}`: one of them.

use maud::{Markup, html};
use model::{DeliveryState, Timestamp};
use store::record::{Delivery, Run};

use super::badge;
use super::format;
use super::layout::{csrf, nothing};
use super::runs::{self, encoded};
use super::viewer::{Role, Viewer};

/// Deliveries of one page.
pub(super) const SHOWN: usize = 100;

/// The page.
pub(super) fn render(deliveries: &[Delivery], viewer: &Viewer, now: Timestamp) -> Markup {
    html! {
        div.head { h1 { "Deliveries" } }
        @if deliveries.is_empty() {
            (nothing("Nothing has been delivered.", &html! { a href="/settings#webhook" { "How to point a webhook here" } }))
        }
        ol.runs id="deliveries" data-swap { @for delivery in deliveries { (row(delivery, viewer, now)) } }
        @if let (Some(last), true) = (deliveries.last(), deliveries.len() >= SHOWN) {
            nav.pages aria-label="Pages" { a rel="next" href={ "/deliveries?before=" (last.id) } { "Older deliveries" } }
        }
    }
}

fn row(delivery: &Delivery, viewer: &Viewer, now: Timestamp) -> Markup {
    let word = delivery.state.as_str();
    html! {
        li.run data-item data-delivery=(delivery.id) data-state=(word) {
            (badge::sign(word))
            div.what {
                a.title href={ "/deliveries/" (delivery.id) } { (title(delivery)) }
                div.sub {
                    @if let Some(repository) = &delivery.repository { (repository) " · " }
                    code { (delivery.guid) }
                    @if delivery.tries > 1 { " · " (delivery.tries) " tries" }
                    @if let Some(reason) = &delivery.reason { " · " span.reason { (reason) } }
                }
            }
            div.where {
                @if may_again(delivery, viewer) { (again(delivery, viewer)) } @else { (word) }
            }
            div.when { (format::ago(delivery.received_at, now)) }
        }
    }
}

/// What it tells of: `pull_request opened`.
pub(super) fn title(delivery: &Delivery) -> String {
    match &delivery.action {
        Some(action) => format!("{} {action}", delivery.event),
        None => delivery.event.clone(),
    }
}

/// One of them.
pub(super) struct One<'a> {
    pub(super) delivery: &'a Delivery,
    /// What came of it.
    pub(super) runs: &'a [Run],
    pub(super) viewer: &'a Viewer,
    pub(super) now: Timestamp,
}

/// The page of one.
pub(super) fn one(view: &One<'_>) -> Markup {
    let delivery = view.delivery;
    html! {
        nav.crumbs aria-label="Where this is" {
            a data-up href="/deliveries" { "Deliveries" } " / "
            @if let Some(repository) = &delivery.repository { a href={ "/repositories/" (encoded(repository)) } { (repository) } }
        }
        div id="delivery" data-swap {
            div.head data-delivery=(delivery.id) data-state=(delivery.state.as_str()) {
                (badge::badge(delivery.state.as_str()))
                h1 { (title(delivery)) }
                @if may_again(delivery, view.viewer) { (again(delivery, view.viewer)) }
            }
            @if let Some(reason) = &delivery.reason { pre.reason { (reason) } }
            dl.facts {
                dt { "Received" } dd { (format::ago(delivery.received_at, view.now)) }
                dt { "Id of the forge" } dd { code { (delivery.guid) } }
                dt { "Tries" } dd {
                    (delivery.tries)
                    @if delivery.state == DeliveryState::Received && delivery.tries > 0 {
                        ", the next at " (format::moment(delivery.next_try)) " UTC"
                    }
                }
                // The API shows it to nobody else.
                @if view.viewer.may(Role::Operate) {
                    dt { "Body" } dd { a href={ "/api/v1/deliveries/" (delivery.id) } { "as the API has it" } }
                }
            }
            @if !view.runs.is_empty() {
                h2 { "Runs " span.dim { (view.runs.len()) } }
                ol.runs { @for run in view.runs { (runs::row(run, None, view.now)) } }
            }
        }
    }
}

fn may_again(delivery: &Delivery, viewer: &Viewer) -> bool {
    button(delivery.state).is_some() && viewer.may(Role::Operate)
}

fn again(delivery: &Delivery, viewer: &Viewer) -> Markup {
    html! {
        form method="post" action={ "/deliveries/" (delivery.id) "/again" } {
            (csrf(viewer))
            button { (button(delivery.state).unwrap_or_default()) }
        }
    }
}

/// What working on it once more is called: what had failed is tried again, and what is done starts once more.
fn button(state: DeliveryState) -> Option<&'static str> {
    match state {
        DeliveryState::Failed => Some("Try again"),
        DeliveryState::Expanded | DeliveryState::Ignored => Some("Start again"),
        DeliveryState::Received => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, HOSTILE};
    use super::*;
    use model::DeliveryId;

    #[test]
    fn a_delivery_that_failed_says_why_and_can_be_tried_again() {
        let delivery = Delivery {
            id: DeliveryId(3),
            guid: HOSTILE.to_owned(),
            event: "push".to_owned(),
            action: None,
            repository: Some(HOSTILE.to_owned()),
            received_at: Timestamp(0),
            state: DeliveryState::Failed,
            reason: Some("its commit is gone".to_owned()),
            tries: 12,
            next_try: Timestamp(0),
            done_at: None,
        };
        let all = [delivery];
        let operator = render(&all, &sample::viewer(Role::Operate), Timestamp(9)).into_string();
        assert!(operator.contains("its commit is gone") && operator.contains("Try again"), "{operator}");
        assert!(!operator.contains("<script"), "{operator}");
        let reader = render(&all, &sample::viewer(Role::Read), Timestamp(9)).into_string();
        assert!(!reader.contains("Try again"), "{reader}");
    }
}
