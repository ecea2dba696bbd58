//! Records to put into a store.

use model::{LogLine, StepPhase, StepRef, Stream, Timestamp};
use store::Store;
use store::record::NewDelivery;

pub(crate) const NOON: Timestamp = Timestamp(1_750_000_000_000);

/// A delivery of about the size that pushes have.
pub(crate) fn delivery(guid: &str, bytes: usize) -> NewDelivery {
    NewDelivery {
        guid: guid.to_owned(),
        event: "push".to_owned(),
        action: None,
        repository: Some("octo/hello".to_owned()),
        payload: format!("{{\"{guid}\":\"{}\"}}", "x".repeat(bytes)).into_bytes(),
        received_at: NOON,
    }
}

pub(crate) fn line(sequence: u64) -> LogLine {
    LogLine {
        step: StepRef { index: 0, phase: StepPhase::Main },
        sequence,
        stream: Stream::Stdout,
        at: NOON.into(),
        text: format!("line {sequence} {}", "x".repeat(100)),
    }
}

/// Names of all deliveries.
pub(crate) async fn guids(store: &dyn Store) -> Vec<String> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = store.deliveries(before, 500).await.expect("read");
        let Some(last) = page.last() else { return all };
        before = Some(last.id);
        all.extend(page.into_iter().map(|delivery| delivery.guid));
    }
}
