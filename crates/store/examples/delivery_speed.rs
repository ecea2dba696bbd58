//! How fast deliveries become durable: at the pace of 1,000 a second, and as fast as they can.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Timestamp;
use store::record::NewDelivery;
use store::{SqliteStore, Store};
use tokio::task::JoinSet;

/// The pace of the promise.
const PER_SECOND: u32 = 1000;

/// Long enough for dozens of checkpoints of SQLite's log.
const SECONDS: u32 = 20;

/// About the size of a push with a commit.
const PAYLOAD_BYTES: usize = 10 * 1024;

/// Callers when there is no pace.
const CALLERS: usize = 64;

fn delivery(n: usize) -> NewDelivery {
    NewDelivery {
        guid: format!("0f2b7a40-0000-0000-0000-{n:012}"),
        event: "push".to_owned(),
        action: None,
        repository: Some("octo/hello".to_owned()),
        payload: format!("{{\"n\":\"{n:0>PAYLOAD_BYTES$}\"}}").into_bytes(),
        received_at: Timestamp::now(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let store = Arc::new(SqliteStore::open(folder.path())?);
    println!("| Deliveries of {} KiB | p50 | p99 | worst |", PAYLOAD_BYTES / 1024);
    println!("|---|---|---|---|");
    let mut paced = at_pace(&store).await?;
    println!("| {PER_SECOND} a second for {SECONDS} s | {}", row(&mut paced));
    let began = Instant::now();
    let mut free = as_fast_as_they_can(&store).await?;
    let rate = free.len() as f64 / began.elapsed().as_secs_f64();
    println!("| {rate:.0} a second, {CALLERS} at once | {}", row(&mut free));
    Ok(())
}

/// Each delivery when its moment has come, whether those before are done or not.
async fn at_pace(store: &Arc<SqliteStore>) -> Result<Vec<Duration>, Box<dyn Error>> {
    let began = Instant::now();
    let mut receiving = JoinSet::new();
    for n in 0..PER_SECOND * SECONDS {
        let due = began + Duration::from_secs(1) * n / PER_SECOND;
        tokio::time::sleep_until(due.into()).await;
        let (store, delivery) = (Arc::clone(store), delivery(n as usize));
        receiving.spawn(async move { store.receive(delivery).await.map(|_| due.elapsed()) });
    }
    let mut took = Vec::new();
    while let Some(done) = receiving.join_next().await {
        took.push(done??);
    }
    Ok(took)
}

async fn as_fast_as_they_can(store: &Arc<SqliteStore>) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(store);
        callers.spawn(async move {
            let mut took = Vec::new();
            for n in 0..300 {
                let delivery = delivery(1_000_000 + caller * 1000 + n);
                let began = Instant::now();
                store.receive(delivery).await?;
                took.push(began.elapsed());
            }
            Ok::<_, store::StoreError>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = callers.join_next().await {
        took.extend(done??);
    }
    Ok(took)
}

fn row(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    format!("{:.1} ms | {:.1} ms | {:.1} ms |", at(50), at(99), at(100))
}
