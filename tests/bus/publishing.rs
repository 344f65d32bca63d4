//! Publishing, receipts, duplicates, the outbox, closures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stentor::audit::EventFilter;
use stentor::{Publication, PublishError};
use uuid::Uuid;

use crate::events::{Happened, Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(
    a_published_event_is_handled_and_processed,
    the_same_id_is_stored_once_and_another_content_is_refused,
    an_id_twice_in_one_call_is_stored_once,
    who_publishes_after_the_end_is_told,
    many_events_are_handled_once_each,
    a_closure_comes_and_goes,
    an_event_without_subscribers_is_processed_at_once,
    what_waits_at_shutdown_is_delivered_at_the_next_start,
);

async fn a_published_event_is_handled_and_processed(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let receipt = bus.publish(happened(7)).await.unwrap();
    soon(receipt.processed()).await.unwrap();
    assert_eq!(watcher.next().await.number, 7);
    let detail = bus.client().event(receipt.id()).await.unwrap().unwrap();
    assert!(detail.event.processed_at.is_some() && detail.event.error.is_none());
    assert_eq!(detail.deliveries.len(), 1);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn the_same_id_is_stored_once_and_another_content_is_refused(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let id = Uuid::now_v7();
    let first = bus.publish(Publication::new(happened(1)).id(id)).await.unwrap();
    let again = bus.publish(Publication::new(happened(1)).id(id)).await.unwrap();
    assert!(!first.is_duplicate() && again.is_duplicate());
    let other = bus.publish(Publication::new(happened(2)).id(id)).await.unwrap_err();
    assert!(matches!(other, PublishError::Conflict(conflict) if conflict == id), "{other}");
    soon(again.processed()).await.unwrap();
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!(watcher.next().await.number, 1);
    assert!(watcher.is_quiet());
}

async fn an_id_twice_in_one_call_is_stored_once(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let id = Uuid::now_v7();
    let twice = |other| [1, 2, other].map(|number| Publication::new(happened(number)));
    let [first, between, again] = twice(1);
    let receipts = soon(bus.publish_all([first.id(id), between, again.id(id)])).await.unwrap();
    assert_eq!(receipts.iter().map(stentor::Receipt::is_duplicate).collect::<Vec<_>>(), [false, false, true]);
    let [first, between, other] = twice(3);
    let id = Uuid::now_v7();
    let refused = soon(bus.publish_all([first.id(id), between, other.id(id)])).await.unwrap_err();
    assert!(matches!(refused, PublishError::Conflict(conflict) if conflict == id), "{refused}");
    soon(bus.publish(happened(4)).await.unwrap().processed()).await.unwrap();
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
    let mut seen = [watcher.next().await.number, watcher.next().await.number, watcher.next().await.number];
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 4]);
    assert!(watcher.is_quiet());
}

async fn who_publishes_after_the_end_is_told(world: World) {
    let watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let late = bus.clone();
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
    let refused = soon(late.publish(happened(1))).await.unwrap_err();
    assert!(matches!(refused, PublishError::ShuttingDown), "{refused}");
    assert!(soon(late.modules()).await.is_err());
}

async fn many_events_are_handled_once_each(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let receipts = bus.publish_all((0..2_500).map(happened)).await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
    }
    let mut seen = vec![0; 2_500];
    for _ in 0..2_500 {
        seen[watcher.next().await.number as usize] += 1;
    }
    assert!(seen.iter().all(|times| *times == 1));
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_closure_comes_and_goes(world: World) {
    let bus = world.builder().event::<Happened>().start().await.unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let handler = move |event: Arc<Happened>| {
        let counted = Arc::clone(&counted);
        async move {
            counted.fetch_add(event.number, Ordering::SeqCst);
            Ok(())
        }
    };
    let subscription = bus.subscribe("welcome", handler).await.unwrap();
    assert_eq!(bus.handler_count("test.happened"), 1);
    soon(bus.publish(happened(5)).await.unwrap().processed()).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 5);
    subscription.unsubscribe().await.unwrap();
    assert_eq!(bus.handler_count("test.happened"), 0);
    soon(bus.publish(happened(5)).await.unwrap().processed()).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 5);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn an_event_without_subscribers_is_processed_at_once(world: World) {
    let bus = world.builder().event::<Happened>().start().await.unwrap();
    let receipt = bus.publish(happened(1)).await.unwrap();
    soon(receipt.processed()).await.unwrap();
    let page = bus.client().events(&EventFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn what_waits_at_shutdown_is_delivered_at_the_next_start(world: World) {
    let mut watcher = Watcher::new([crate::events::Act::Hang]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    let receipts = bus.publish_all((0..20).map(happened)).await.unwrap();
    assert_eq!(watcher.next().await.number, 0);
    bus.shutdown(Duration::from_millis(100)).await.unwrap();
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    for _ in 0..20 {
        // Being interrupted cost no attempt: this is the first that counts.
        assert_eq!(watcher.next().await.attempt, 1);
    }
    let last = receipts.last().unwrap().id();
    soon(async {
        while !bus.client().is_processed(last).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
