//! A module that is away: its backlog waits in the store, not in memory, and it works it off in order.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor::{Bus, Context, Event, Handle, HandlerError, KeyOrder, Module, ModuleOptions, Subscriptions};
use tokio::sync::watch;

#[expect(dead_code, reason = "other tests need the rest")]
#[path = "common/world.rs"]
mod world;

use world::{Kind, World};

/// Events of the backlog, unless `STENTOR_BACKLOG` says otherwise: held in memory, they would break the bound.
const EVENTS: u64 = 100_000;
const LANES: u64 = 64;
/// What the process may grow by, over the bus when it is idle.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long nothing at all may be delivered.
const PATIENCE: Duration = Duration::from_secs(30);

/// Memory is the process's, so that one test at a time may look at it.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[derive(Debug, Serialize, Deserialize)]
struct Counted {
    number: u64,
    padding: String,
}

impl Event for Counted {
    const TYPE: &'static str = "backlog.counted";

    fn ordering_key(&self) -> Option<String> {
        Some(format!("lane-{}", self.number % LANES))
    }
}

/// Takes everything as it comes.
struct Present;

impl Module for Present {
    const NAME: &'static str = "present";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Counted>();
    }
}

impl Handle<Counted> for Present {
    async fn handle(&mut self, _: &Counted, _: &mut Context<'_>) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// What the module that was away has seen.
struct Seen {
    last: Mutex<HashMap<u64, u64>>,
    disordered: AtomicU64,
    count: watch::Sender<u64>,
}

/// Is paused, and comes back.
struct Late(Arc<Seen>);

impl Module for Late {
    const NAME: &'static str = "late";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Counted>();
    }

    fn options() -> ModuleOptions {
        ModuleOptions::default().order(KeyOrder::Ordered)
    }
}

impl Handle<Counted> for Late {
    async fn handle(&mut self, event: &Counted, _: &mut Context<'_>) -> Result<(), HandlerError> {
        let before = self.0.last.lock().unwrap().insert(event.number % LANES, event.number);
        if before.is_some_and(|before| before >= event.number) {
            self.0.disordered.fetch_add(1, Ordering::Relaxed);
        }
        self.0.count.send_modify(|count| *count += 1);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_waits_in_the_store_and_is_worked_off_in_order_on_sqlite() {
    wait_and_work_off(&World::new(Kind::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_waits_in_the_store_and_is_worked_off_in_order_on_postgres() {
    wait_and_work_off(&World::new(Kind::Postgres).await).await;
}

async fn wait_and_work_off(world: &World) {
    let _alone = ALONE.lock().await;
    let events = std::env::var("STENTOR_BACKLOG").map_or(EVENTS, |text| text.parse().expect("a number"));
    let (count, mut counted) = watch::channel(0);
    let seen = Arc::new(Seen { last: Mutex::default(), disordered: AtomicU64::new(0), count });
    let late = Arc::clone(&seen);
    let bus =
        world.builder().module(|| Present).module(move || Late(Arc::clone(&late))).start().await.unwrap();
    bus.pause("late").await.unwrap();
    publish(&bus, 0..1_000).await;
    let idle = resident_bytes();

    publish(&bus, 1_000..events).await;
    assert_eq!(*counted.borrow(), 0, "the module is paused");
    assert_small(idle, "while the backlog grew");

    bus.resume("late").await.unwrap();
    while *counted.borrow_and_update() < events {
        tokio::time::timeout(PATIENCE, counted.changed()).await.expect("the backlog moves").unwrap();
    }
    assert_small(idle, "while the backlog was worked off");
    assert_eq!(seen.disordered.load(Ordering::Relaxed), 0, "each lane in the order of its publishing");
    bus.shutdown(Duration::from_secs(20)).await.unwrap();
    assert_eq!(*counted.borrow(), events, "each event once");
}

async fn publish(bus: &Bus, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for chunk in numbers.chunks(4_000) {
        let events = chunk.iter().map(|number| Counted { number: *number, padding: "x".repeat(120) });
        bus.publish_all(events).await.unwrap();
    }
}

fn assert_small(idle: u64, when: &str) {
    let growth = resident_bytes().saturating_sub(idle);
    assert!(growth <= GROWTH_BYTES_MAX, "{when}, memory grew by {growth} bytes");
}

/// Returns the process's resident memory; zero where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
