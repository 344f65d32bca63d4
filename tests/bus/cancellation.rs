//! Callers that go away at random points leave nothing half-done.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use stentor::audit::{DeliveryFilter, EventFilter};
use stentor::{Bus, Module as _, args};
use uuid::Uuid;

use crate::events::{Happened, Probe, Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(dropped_callers_leak_nothing_and_lose_nothing);

/// Calls that are dropped on each database, unless `STENTOR_CANCELS` says otherwise.
const CANCELS: u32 = 10_000;
/// Callers at once.
const CALLERS: u32 = 16;

/// Polls `future` as often as `polls` says, then drops it; no call may wait for another caller.
async fn cut<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    let limited = std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    });
    tokio::time::timeout(Duration::from_millis(20), limited).await.ok().flatten()
}

/// Makes one call of a random kind, drops it at a random point, and returns what was acknowledged.
async fn call(bus: &Bus, caller: u32) -> Vec<Uuid> {
    let polls = fastrand::u32(0..4);
    let number = fastrand::u32(..);
    let client = bus.client();
    match fastrand::u32(0..20) {
        0..6 => {
            let receipt = cut(bus.publish(happened(number)), polls).await;
            return receipt.and_then(Result::ok).map(|receipt| receipt.id()).into_iter().collect();
        }
        6 => {
            let receipts = cut(bus.publish_all((0..5).map(happened)), polls).await;
            return receipts
                .and_then(Result::ok)
                .unwrap_or_default()
                .iter()
                .map(stentor::Receipt::id)
                .collect();
        }
        7 | 8 => {
            let id = cut(publish_with_a_row(bus, number), polls * 2).await.flatten();
            return id.into_iter().collect();
        }
        9 => drop(cut(client.events(&EventFilter::default(), None, 5), polls).await),
        10 => drop(cut(client.deliveries(&DeliveryFilter::default(), 5), polls).await),
        11 => drop(cut(bus.modules(), polls).await),
        12 => drop(cut(client.redrive(&DeliveryFilter::default()), polls).await),
        13 => drop(cut(bus.pause(Probe::NAME), polls).await),
        14 | 15 => drop(cut(bus.resume(Probe::NAME), polls).await),
        16 => drop(cut(client.subscriptions(), polls).await),
        17 => {
            let come_and_go = async {
                let handler = |_: Arc<Happened>| async { Ok(()) };
                if let Ok(subscription) = bus.subscribe(&format!("caller-{caller}"), handler).await {
                    subscription.unsubscribe().await.ok();
                }
            };
            cut(come_and_go, polls * 2).await;
        }
        _ => {
            let wait = async {
                if let Ok(receipt) = bus.publish(happened(number)).await {
                    receipt.processed().await.ok();
                }
            };
            cut(wait, polls).await;
        }
    }
    Vec::new()
}

/// Writes a row of its own and publishes, in one transaction.
async fn publish_with_a_row(bus: &Bus, number: u32) -> Option<Uuid> {
    let mut transaction = bus.begin().await.ok()?;
    let insert = "INSERT INTO modules (name) VALUES ($1)";
    transaction.execute(insert, args![Uuid::now_v7().to_string()]).await.ok()?;
    let id = transaction.publish(happened(number)).ok()?;
    transaction.commit().await.ok()?;
    Some(id)
}

async fn dropped_callers_leak_nothing_and_lose_nothing(world: World) {
    let cancels = std::env::var("STENTOR_CANCELS").map_or(CANCELS, |text| text.parse().unwrap());
    let watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let bus = bus.clone();
        callers.spawn(async move {
            let mut acknowledged = Vec::new();
            for _ in 0..cancels / CALLERS {
                acknowledged.extend(call(&bus, caller).await);
            }
            acknowledged
        });
    }
    let acknowledged: HashSet<Uuid> = callers.join_all().await.into_iter().flatten().collect();
    bus.resume(Probe::NAME).await.unwrap();
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
    assert!(acknowledged.len() > 100, "the load was worth the name");
    assert_eq!(acknowledged.difference(&stored).count(), 0, "nothing acknowledged is lost");
    if world.path().is_none() {
        let open = "SELECT count(*) AS n FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(bus.client().fetch_all(open, Vec::new()).await.unwrap()[0].get::<i64>("n").unwrap(), 0);
    }
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
}
