//! Every row of the table of outcomes.

use std::time::Duration;

use stentor::audit::{EventDetail, EventFilter, EventState};
use stentor::delivery::DeliveryState;
use stentor::{Bus, ModuleOptions, Publication, RawEvent, Receipt, RetryPolicy};
use uuid::Uuid;

use crate::events::{Act, Happened, Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(
    a_retryable_error_is_retried_by_the_same_worker_until_it_succeeds,
    fatal_error_is_parked_on_the_first_attempt,
    a_timeout_is_retried_by_a_fresh_worker,
    a_panic_is_retried_by_a_fresh_worker,
    five_failures_in_a_row_rebuild_the_worker,
    a_payload_that_does_not_decode_is_parked_and_names_the_field,
    used_up_attempts_park_the_delivery_and_announce_it,
    a_redriven_dead_letter_succeeds_and_clears_the_error,
    the_failures_of_a_chain_are_found_behind_its_successes,
);

fn quick() -> ModuleOptions {
    let retry = RetryPolicy::new().max_attempts(3).initial_delay(Duration::from_millis(2));
    ModuleOptions::default().retry(retry).timeout(Duration::from_millis(200))
}

async fn start(world: &World, watcher: &Watcher, options: ModuleOptions) -> Bus {
    world.builder().module_with(options, watcher.factory()).start().await.unwrap()
}

async fn detail_when_processed(bus: &Bus, receipt: &Receipt) -> EventDetail {
    soon(receipt.processed()).await.unwrap();
    bus.client().event(receipt.id()).await.unwrap().unwrap()
}

async fn a_retryable_error_is_retried_by_the_same_worker_until_it_succeeds(world: World) {
    let mut watcher = Watcher::new([Act::Fail, Act::Fail]);
    let bus = start(&world, &watcher, quick()).await;
    let receipt = bus.publish(happened(1)).await.unwrap();
    let detail = detail_when_processed(&bus, &receipt).await;
    for before in 0..3 {
        let seen = watcher.next().await;
        assert_eq!((seen.attempt, seen.before), (before + 1, before));
    }
    assert_eq!(detail.event.error, None, "a success clears the error");
    assert_eq!(detail.deliveries[0].state, DeliveryState::Acked);
    assert_eq!(detail.deliveries[0].attempts, 3);
    assert_eq!(detail.deliveries[0].errors.as_array().unwrap().len(), 2, "the history stays");
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn fatal_error_is_parked_on_the_first_attempt(world: World) {
    let mut watcher = Watcher::new([Act::FailFatally]);
    let bus = start(&world, &watcher, quick()).await;
    let receipt = bus.publish(happened(1)).await.unwrap();
    let detail = detail_when_processed(&bus, &receipt).await;
    assert_eq!(detail.deliveries[0].state, DeliveryState::Dead);
    assert_eq!(detail.deliveries[0].attempts, 1);
    assert_eq!(detail.event.error.as_deref(), Some("the script says give up"));
    // The worker is kept, and the events behind the poison go on.
    soon(bus.publish(happened(2)).await.unwrap().processed()).await.unwrap();
    watcher.next().await;
    assert_eq!(watcher.next().await.before, 1);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_timeout_is_retried_by_a_fresh_worker(world: World) {
    is_retried_by_a_fresh_worker(world, Act::Hang, "did not return within 200ms").await;
}

async fn a_panic_is_retried_by_a_fresh_worker(world: World) {
    is_retried_by_a_fresh_worker(world, Act::Panic, "panicked: the script says panic").await;
}

async fn is_retried_by_a_fresh_worker(world: World, act: Act, message: &str) {
    let mut watcher = Watcher::new([Act::Succeed, act]);
    let bus = start(&world, &watcher, quick()).await;
    soon(bus.publish(happened(0)).await.unwrap().processed()).await.unwrap();
    let receipt = bus.publish(happened(1)).await.unwrap();
    let detail = detail_when_processed(&bus, &receipt).await;
    watcher.next().await;
    assert_eq!(watcher.next().await.before, 1);
    let again = watcher.next().await;
    assert_eq!((again.attempt, again.before), (2, 0), "the state is fresh");
    assert_eq!(detail.deliveries[0].errors[0]["message"], message);
    assert_eq!(bus.modules().await.unwrap()[0].restarts, 1);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn five_failures_in_a_row_rebuild_the_worker(world: World) {
    let mut watcher = Watcher::new(vec![Act::Fail; 5]);
    let retry = RetryPolicy::new().initial_delay(Duration::from_millis(1));
    let bus = start(&world, &watcher, quick().retry(retry)).await;
    let receipt = bus.publish(happened(1)).await.unwrap();
    soon(receipt.processed()).await.unwrap();
    let mut before = Vec::new();
    for _ in 0..6 {
        before.push(watcher.next().await.before);
    }
    assert_eq!(before, [0, 1, 2, 3, 4, 0]);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_payload_that_does_not_decode_is_parked_and_names_the_field(world: World) {
    let watcher = Watcher::new([]);
    let bus = start(&world, &watcher, quick()).await;
    let id = insert_plainly(&world, "test.happened", r#"{"number": "seven"}"#).await;
    soon(async {
        while !bus.client().is_processed(id).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let detail = bus.client().event(id).await.unwrap().unwrap();
    assert_eq!(detail.deliveries[0].state, DeliveryState::Dead);
    let error = detail.event.error.unwrap();
    assert!(error.contains("test.happened") && error.contains("expected u32"), "{error}");
    assert_eq!(bus.modules().await.unwrap()[0].restarts, 0, "the worker is untouched");
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// Publishes as any language can: with a plain INSERT.
async fn insert_plainly(world: &World, event_type: &'static str, payload: &'static str) -> Uuid {
    use sqlx::{Connection, PgConnection, Row, SqliteConnection};
    if world.path().is_some() {
        let mut connection = SqliteConnection::connect(&world.url).await.unwrap();
        let sql = "INSERT INTO system_events (type, payload) VALUES ($1, $2) RETURNING id";
        sqlx::query(sql).bind(event_type).bind(payload).fetch_one(&mut connection).await.unwrap().get(0)
    } else {
        let mut connection = PgConnection::connect(&world.url).await.unwrap();
        let sql = "INSERT INTO system_events (type, payload) VALUES ($1, $2::jsonb) RETURNING id";
        sqlx::query(sql).bind(event_type).bind(payload).fetch_one(&mut connection).await.unwrap().get(0)
    }
}

async fn used_up_attempts_park_the_delivery_and_announce_it(world: World) {
    let watcher = Watcher::new(vec![Act::Fail; 3]);
    let bus = start(&world, &watcher, quick()).await;
    let (sender, mut announced) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |error: std::sync::Arc<stentor::SystemError>| {
        let sender = sender.clone();
        async move {
            sender.send(error).ok();
            Ok(())
        }
    };
    let _admins = bus.subscribe("admins", handler).await.unwrap();
    let receipt = bus.publish(happened(1)).await.unwrap();
    let detail = detail_when_processed(&bus, &receipt).await;
    assert_eq!(detail.deliveries[0].state, DeliveryState::Dead);
    assert_eq!(detail.deliveries[0].attempts, 3);
    let error = soon(announced.recv()).await.unwrap();
    assert_eq!((error.source.as_str(), error.original_event.id), ("probe", receipt.id()));
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_redriven_dead_letter_succeeds_and_clears_the_error(world: World) {
    let mut watcher = Watcher::new([Act::FailFatally]);
    let bus = start(&world, &watcher, quick()).await;
    let raw = RawEvent {
        event_type: "test.happened".to_owned(),
        payload: serde_json::to_value(Happened { number: 9, key: None }).unwrap(),
        id: None,
        metadata: stentor::Metadata::default(),
    };
    let receipt = bus.publish_raw(raw).await.unwrap();
    detail_when_processed(&bus, &receipt).await;
    let filter = stentor::audit::DeliveryFilter { event_id: Some(receipt.id()), ..Default::default() };
    assert_eq!(bus.client().redrive(&filter).await.unwrap(), 1);
    watcher.next().await;
    assert_eq!(watcher.next().await.number, 9);
    soon(async {
        while bus.client().event(receipt.id()).await.unwrap().unwrap().event.error.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn the_failures_of_a_chain_are_found_behind_its_successes(world: World) {
    let watcher = Watcher::new([Act::FailFatally]);
    let bus = start(&world, &watcher, quick()).await;
    let chain = Uuid::now_v7();
    let mut ids = Vec::new();
    for number in 0..4 {
        let event = Publication::new(happened(number)).correlation_id(chain);
        let receipt = bus.publish(event).await.unwrap();
        soon(receipt.processed()).await.unwrap();
        ids.push(receipt.id());
    }
    let filter = EventFilter {
        correlation_id: Some(chain),
        state: Some(EventState::Failed),
        ..EventFilter::default()
    };
    let page = bus.client().events(&filter, None, 2).await.unwrap();
    assert_eq!(page.items.iter().map(|event| event.id).collect::<Vec<_>>(), ids[..1]);
    assert_eq!(page.next_cursor, None);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
