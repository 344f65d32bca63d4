//! Callers that go away at random points leave nothing half-done.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use stentor::audit::{DeliveryFilter, EventFilter};
use stentor::{Bus, args};
use uuid::Uuid;

use crate::events::{Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(dropped_callers_leak_nothing_and_lose_nothing);

/// Calls that are dropped on each database, unless `STENTOR_CANCELS` says otherwise.
const CANCELS: u32 = 10_000;
/// Callers at once.
const CALLERS: u32 = 16;

/// Polls `future` as often as `polls` says, then drops it.
async fn cut<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Makes one call of a random kind and drops it at a random point.
async fn call(bus: &Bus, acknowledged: &Mutex<HashSet<Uuid>>) {
    let polls = fastrand::u32(0..4);
    let number = fastrand::u32(..);
    match fastrand::u32(0..10) {
        0..3 => {
            let receipt = cut(bus.publish(happened(number)), polls).await;
            let id = receipt.and_then(Result::ok).map(|receipt| receipt.id());
            acknowledged.lock().unwrap().extend(id);
        }
        3 => {
            let receipts = cut(bus.publish_all((0..5).map(happened)), polls).await;
            let ids = receipts.and_then(Result::ok).unwrap_or_default();
            acknowledged.lock().unwrap().extend(ids.iter().map(stentor::Receipt::id));
        }
        4 | 5 => {
            let work = async {
                let mut transaction = bus.begin().await.ok()?;
                let insert = "INSERT INTO modules (name) VALUES ($1)";
                transaction.execute(insert, args![Uuid::now_v7().to_string()]).await.ok()?;
                let id = transaction.publish(happened(number)).ok()?;
                transaction.commit().await.ok()?;
                Some(id)
            };
            acknowledged.lock().unwrap().extend(cut(work, polls * 2).await.flatten());
        }
        6 => drop(cut(bus.client().events(&EventFilter::default(), None, 5), polls).await),
        7 => drop(cut(bus.client().deliveries(&DeliveryFilter::default(), 5), polls).await),
        8 => drop(cut(bus.modules(), polls).await),
        _ => {
            let waiting = async {
                if let Ok(receipt) = bus.publish(happened(number)).await {
                    receipt.processed().await.ok();
                }
            };
            cut(waiting, polls).await;
        }
    }
}

async fn dropped_callers_leak_nothing_and_lose_nothing(world: World) {
    let cancels = std::env::var("STENTOR_CANCELS").map_or(CANCELS, |text| text.parse().unwrap());
    let watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (bus, acknowledged) = (bus.clone(), Arc::clone(&acknowledged));
        callers.spawn(async move {
            for _ in 0..cancels / CALLERS {
                call(&bus, &acknowledged).await;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    // Every permit is there: as many transactions open at once as the bus allows.
    let mut open = Vec::new();
    for _ in 0..if world.path().is_some() { 1 } else { 8 } {
        open.push(soon(bus.begin()).await.unwrap());
    }
    drop(open);
    soon(bus.publish(happened(1)).await.unwrap().processed()).await.unwrap();
    let unprocessed = "SELECT count(*) AS n FROM system_events WHERE processed_at IS NULL";
    soon(async {
        while bus.client().fetch_all(unprocessed, Vec::new()).await.unwrap()[0].get::<i64>("n").unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let rows = bus.client().fetch_all("SELECT id FROM system_events", Vec::new()).await.unwrap();
    let stored: HashSet<Uuid> = rows.iter().map(|row| row.get("id").unwrap()).collect();
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 100, "the load was worth the name");
    assert_eq!(acknowledged.difference(&stored).count(), 0, "nothing acknowledged is lost");
    if world.path().is_none() {
        let open = "SELECT count(*) AS n FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(bus.client().fetch_all(open, Vec::new()).await.unwrap()[0].get::<i64>("n").unwrap(), 0);
    }
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
}
