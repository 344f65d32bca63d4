//! What `stentor::testing` promises, beside the examples in its documentation.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor::delivery::{DeliveryState, FailureKind, ModuleState};
use stentor::store::Migration;
use stentor::testing::{TestBus, TestError};
use stentor::{
    BreakerPolicy, BreakerState, BusBuilder, Context, Event, Handle, HandlerError, KeyOrder, MigrationSet,
    Module, ModuleOptions, Publication, RetryPolicy, Subscriptions, SystemError, args,
};
use uuid::Uuid;

use crate::world::{Kind, World, soon};

/// An order to handle: how often it fails, and what becomes of it then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    number: u32,
    failures: u32,
    key: Option<String>,
}

impl Event for Asked {
    const TYPE: &'static str = "test.asked";

    fn ordering_key(&self) -> Option<String> {
        self.key.clone()
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Answered {
    number: u32,
}

impl Event for Answered {
    const TYPE: &'static str = "test.answered";
}

/// Never handled by [`Clerk`], although it could.
#[derive(Debug, Serialize, Deserialize)]
struct Whispered {}

impl Event for Whispered {
    const TYPE: &'static str = "test.whispered";
}

fn asked(number: u32, failures: u32) -> Asked {
    Asked { number, failures, key: None }
}

fn keyed(number: u32, failures: u32) -> Asked {
    Asked { number, failures, key: Some("a".to_owned()) }
}

/// Fails as often as the event says, and then answers until the number is 0.
struct Clerk;

impl Module for Clerk {
    const NAME: &'static str = "clerk";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Asked>();
        on.event::<Answered>();
    }
}

impl Handle<Asked> for Clerk {
    async fn handle(&mut self, event: &Asked, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let tx = cx.transaction().await?;
        tx.execute("INSERT INTO answers (number) VALUES ($1)", args![event.number]).await?;
        cx.publish(Answered { number: event.number })?;
        match (cx.attempt() <= event.failures, event.number) {
            (true, 13) => panic!("thirteen"),
            (true, _) => Err(HandlerError::retryable(format!("attempt {} failed", cx.attempt()))),
            (false, _) => Ok(()),
        }
    }
}

impl Handle<Answered> for Clerk {
    async fn handle(&mut self, event: &Answered, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        if event.number > 0 {
            cx.publish(Answered { number: event.number - 1 })?;
        }
        Ok(())
    }
}

impl Handle<Whispered> for Clerk {
    async fn handle(&mut self, _: &Whispered, _: &mut Context<'_>) -> Result<(), HandlerError> {
        Ok(())
    }
}

static ANSWERS: MigrationSet = MigrationSet {
    table: "answers_migrations",
    migrations: &[Migration {
        version: 1,
        name: "answers",
        sqlite: "CREATE TABLE answers (number INTEGER NOT NULL) STRICT",
        postgres: "CREATE TABLE answers (number BIGINT NOT NULL)",
    }],
};

async fn bus(options: ModuleOptions) -> TestBus {
    bus_on(|bus| bus, options).await
}

async fn bus_on(place: impl FnOnce(BusBuilder) -> BusBuilder, options: ModuleOptions) -> TestBus {
    let start = TestBus::start(|bus| place(bus).migrations(&ANSWERS).module_with(options, || Clerk));
    start.await.unwrap()
}

async fn answers(bus: &stentor::Bus) -> usize {
    bus.client().fetch_all("SELECT number FROM answers", args![]).await.unwrap().len()
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

#[tokio::test]
async fn a_chain_is_followed_to_its_end() {
    let bus = bus(ModuleOptions::default()).await;
    let settled = bus.publish_and_settle(asked(5, 0)).await.unwrap();
    assert!(settled.is_processed());
    let numbers = |events: Vec<Answered>| events.iter().map(|event| event.number).collect::<Vec<_>>();
    assert_eq!(numbers(settled.caused_of().unwrap()), [5, 4, 3, 2, 1, 0]);
    assert_eq!(numbers(bus.published().await.unwrap()), [5, 4, 3, 2, 1, 0]);
    assert_eq!(settled.deliveries.len(), 7);
    assert!(settled.deliveries.iter().all(|delivery| delivery.state == DeliveryState::Acked));
    let types: Vec<String> = bus.events().await.unwrap().into_iter().map(|event| event.event_type).collect();
    assert_eq!((types.len(), types[0].as_str()), (7, "test.asked"));
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_published_in_a_transaction_settles_too() {
    let bus = bus(ModuleOptions::default()).await;
    let mut tx = bus.begin().await.unwrap();
    let id = tx.publish(asked(1, 0)).unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bus.settle(id).await.unwrap().caused.len(), 2);
    let unknown = bus.settle(Uuid::nil()).await.unwrap_err();
    assert!(matches!(unknown, TestError::UnknownEvent(id) if id.is_nil()));
    bus.stop().await.unwrap();
}

async fn each_retry_comes_when_its_time_is_advanced(bus: &TestBus) {
    let settled = bus.publish_and_settle(asked(0, 3)).await.unwrap();
    let id = settled.event.id;
    // 1 s, 2 s and 4 s: the backoff of the default policy. Hours would pass, too, but these are exact.
    for (attempt, delay) in [(1, 1), (2, 2), (3, 4)] {
        let settled = bus.settle(id).await.unwrap();
        assert!(!settled.is_processed());
        assert_eq!(settled.state("clerk"), Some(DeliveryState::Pending));
        assert_eq!(settled.delivery("clerk").unwrap().attempts, attempt);
        assert_eq!(settled.event.error.unwrap(), format!("attempt {attempt} failed"));
        bus.advance(Duration::from_secs(delay)).await.unwrap();
    }
    let settled = bus.settle(id).await.unwrap();
    assert!(settled.is_processed() && settled.event.error.is_none());
    assert_eq!(settled.delivery("clerk").unwrap().attempts, 4);
    let errors = settled.delivery("clerk").unwrap().errors.as_array().unwrap();
    let attempts: Vec<i64> = errors.iter().map(|error| error["attempt"].as_i64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 3], "the latest last");
    assert_eq!((settled.caused.len(), answers(bus).await), (1, 1), "failed attempts left nothing behind");
}

#[tokio::test]
async fn time_passes_on_sqlite() {
    let bus = bus(ModuleOptions::default()).await;
    each_retry_comes_when_its_time_is_advanced(&bus).await;
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn time_passes_on_postgres() {
    let world = World::new(Kind::Postgres).await;
    let bus = bus_on(|bus| bus.database(&world.url), ModuleOptions::default()).await;
    each_retry_comes_when_its_time_is_advanced(&bus).await;
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn the_announcement_of_a_dead_letter_belongs_to_what_is_waited_for() {
    let breaker = BreakerPolicy::new().min_calls(1_000);
    let options = ModuleOptions::default().retry(RetryPolicy::new().max_attempts(1)).breaker(breaker);
    let bus = bus(options).await;
    for number in 0..12 {
        let settled = bus.publish_and_settle(asked(number, 1)).await.unwrap();
        assert_eq!(settled.state("clerk"), Some(DeliveryState::Dead));
        let announced = settled.caused_of::<SystemError>().unwrap();
        assert_eq!(announced.len(), 1, "number {number}");
        assert_eq!(announced[0].original_event.id, settled.event.id);
        assert!(settled.is_processed());
    }
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_paused_module_makes_nobody_wait() {
    let bus = bus(ModuleOptions::default()).await;
    bus.pause("clerk").await.unwrap();
    let settled = bus.publish_and_settle(asked(0, 0)).await.unwrap();
    assert_eq!(settled.state("clerk"), Some(DeliveryState::Pending));
    bus.resume("clerk").await.unwrap();
    let settled = bus.settle(settled.event.id).await.unwrap();
    assert_eq!(settled.state("clerk"), Some(DeliveryState::Acked));
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_breaker_opens_and_its_probe_comes_when_time_is_advanced() {
    let breaker = BreakerPolicy::new().min_calls(2).open_for(hours(1));
    let retry = RetryPolicy::new().max_attempts(2).initial_delay(hours(9)).max_delay(hours(9));
    let bus = bus(ModuleOptions::default().breaker(breaker).retry(retry)).await;
    for number in [1, 2] {
        bus.publish_and_settle(asked(number, 1)).await.unwrap();
    }
    let waiting = bus.publish_and_settle(asked(0, 0)).await.unwrap();
    assert_eq!(waiting.state("clerk"), Some(DeliveryState::Pending), "the breaker is open");
    assert_eq!(bus.modules().await.unwrap()[0].breakers[0].state, BreakerState::Open);
    bus.advance(hours(1)).await.unwrap();
    let probed = bus.settle(waiting.event.id).await.unwrap();
    assert_eq!(probed.state("clerk"), Some(DeliveryState::Acked));
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_that_waits_for_a_retry_makes_nobody_wait() {
    let bus = bus(ModuleOptions::default().order(KeyOrder::Ordered)).await;
    let first = bus.publish_and_settle(keyed(0, 1)).await.unwrap();
    let second = bus.publish_and_settle(keyed(0, 0)).await.unwrap();
    assert_eq!(second.state("clerk"), Some(DeliveryState::Pending), "held back by the first");
    bus.advance(Duration::from_secs(1)).await.unwrap();
    for id in [first.event.id, second.event.id] {
        assert_eq!(bus.settle(id).await.unwrap().state("clerk"), Some(DeliveryState::Acked));
    }
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_that_waits_for_a_redrive_makes_nobody_wait() {
    let options = ModuleOptions::default()
        .order(KeyOrder::OrderedHoldingDead)
        .retry(RetryPolicy::new().max_attempts(1));
    let bus = bus(options).await;
    let first = bus.publish_and_settle(keyed(0, 9)).await.unwrap();
    assert_eq!(first.state("clerk"), Some(DeliveryState::Dead));
    let second = bus.publish_and_settle(keyed(0, 0)).await.unwrap();
    assert_eq!(second.state("clerk"), Some(DeliveryState::Pending), "held back by the first");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn an_acknowledgement_is_seen_beside_a_retry() {
    let bus = bus(ModuleOptions::default()).await;
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    bus.subscribe("other", move |_: Arc<Asked>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    })
    .await
    .unwrap();
    // On the live path the acknowledgement leaves no row, and until the retry is over nothing else says so.
    soon(async {
        while bus.modules().await.unwrap().iter().any(|module| module.state != ModuleState::Live) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let settled = bus.publish_and_settle(asked(0, 1)).await.unwrap();
    assert_eq!(settled.state("other"), Some(DeliveryState::Acked));
    assert_eq!(settled.state("clerk"), Some(DeliveryState::Pending));
    assert_eq!(settled.state("nobody"), None);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_handler_that_computes_is_not_mistaken_for_one_that_blocks() {
    let bus = TestBus::start(|bus| bus).await.unwrap();
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let handler = move |_: Arc<Asked>| {
        let (begun, released) = (begun.clone(), Arc::clone(&released));
        async move {
            begun.send(())?;
            Ok(released.lock().unwrap().recv()?)
        }
    };
    bus.subscribe("computing", handler).await.unwrap();
    let receipt = bus.publish(asked(0, 0)).await.unwrap();
    soon(begins.recv()).await.unwrap();
    bus.advance(hours(1)).await.unwrap();
    let computing = bus.modules().await.unwrap().remove(0);
    release.send(()).unwrap();
    assert!(!computing.blocks_its_thread, "it has computed for a moment, not for an hour");
    assert_eq!(bus.settle(receipt.id()).await.unwrap().delivery("computing").unwrap().attempts, 1);
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn what_hangs_is_named() {
    let bus = TestBus::start(|bus| bus).await.unwrap().patience(Duration::from_millis(50));
    bus.subscribe("hanging", |_: Arc<Asked>| std::future::pending()).await.unwrap();
    let error = bus.publish_and_settle(asked(0, 0)).await.unwrap_err();
    assert!(matches!(&error, TestError::Unsettled { .. }), "{error}");
    assert!(error.to_string().contains("test.asked"), "{error}");
}

#[tokio::test]
async fn a_module_alone_commits_what_it_did_and_nobody_else_hears_of_it() {
    let bus = bus(ModuleOptions::default()).await;
    let user = Uuid::now_v7();
    let delivered = bus.deliver(&mut Clerk, Publication::new(asked(7, 0)).created_by(user)).await.unwrap();
    assert_eq!(delivered.outcome, Ok(()));
    assert_eq!(delivered.published_of::<Answered>().unwrap(), [Answered { number: 7 }]);
    assert_eq!(delivered.published[0].metadata.created_by, Some(user));
    assert!(delivered.published[0].metadata.causation_id.is_some());
    assert_eq!(answers(&bus).await, 1);
    assert!(bus.events().await.unwrap().is_empty(), "nothing was published");
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_module_alone_that_fails_leaves_nothing_behind() {
    let bus = bus(ModuleOptions::default()).await;
    for (number, kind, message) in
        [(7, FailureKind::Retryable, "attempt 1 failed"), (13, FailureKind::Panic, "panicked: thirteen")]
    {
        let delivered = bus.deliver(&mut Clerk, asked(number, 1)).await.unwrap();
        let failed = delivered.outcome.unwrap_err();
        assert_eq!((failed.kind, failed.message.as_str()), (kind, message));
        assert!(delivered.published.is_empty());
    }
    let deaf = bus.deliver(&mut Clerk, Whispered {}).await.unwrap().outcome.unwrap_err();
    assert_eq!(deaf.kind, FailureKind::Fatal);
    assert!(deaf.message.contains("does not subscribe to test.whispered"), "{deaf}");
    assert_eq!(answers(&bus).await, 0);
    // The connection that writes is free again.
    soon(bus.publish_and_settle(asked(0, 0))).await.unwrap();
    bus.stop().await.unwrap();
}

#[test]
fn it_works_without_a_runtime_of_the_caller_s() {
    pollster::block_on(async {
        let bus = bus(ModuleOptions::default()).await;
        assert_eq!(bus.deliver(&mut Clerk, asked(1, 0)).await.unwrap().outcome, Ok(()));
        assert!(bus.publish_and_settle(asked(1, 0)).await.unwrap().is_processed());
        bus.advance(hours(1)).await.unwrap();
        bus.stop().await.unwrap();
    });
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let folder_of = |bus: TestBus| async move {
        let rows = bus.client().fetch_all("SELECT file FROM pragma_database_list", args![]).await.unwrap();
        let file: String = rows[0].get("file").unwrap();
        (bus, std::path::PathBuf::from(file).parent().unwrap().to_owned())
    };
    let (stopped, folder) = folder_of(bus(ModuleOptions::default()).await).await;
    assert!(folder.exists());
    stopped.stop().await.unwrap();
    assert!(!folder.exists());
    let (dropped, folder) = folder_of(bus(ModuleOptions::default()).await).await;
    drop(dropped);
    assert!(!folder.exists());
}
