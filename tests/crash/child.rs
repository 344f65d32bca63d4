//! The process that is killed: publishers and modules under load.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stentor::store::Migration;
use stentor::{
    Bus, Context, Event, Handle, HandlerError, KeyOrder, MigrationSet, Module, ModuleOptions, Publication,
    Subscriptions, args,
};
use uuid::Uuid;

use crate::book::Page;
use crate::reader;

/// The variable that makes this program the child.
pub(crate) const MODE: &str = "STENTOR_CRASH_MODE";

/// What the child does.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Publishes until it is killed.
    Load { round: u32, fault: Fault },
    /// Works everything off and ends.
    Finish { round: u32, fault: Fault },
}

/// A fault that the harness must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    None,
    AckBeforeCommit,
    EffectWithoutReceipt,
    /// The effects are written by a reader of `seq > last`.
    SeqReader,
}

impl Mode {
    pub(crate) fn from_environment() -> Option<Self> {
        let text = std::env::var(MODE).ok()?;
        Some(serde_json::from_str(&text).expect("a mode"))
    }

    fn parts(self) -> (u32, Fault) {
        match self {
            Self::Load { round, fault } | Self::Finish { round, fault } => (round, fault),
        }
    }
}

static TABLES: MigrationSet = MigrationSet {
    table: "_crash_migrations",
    migrations: &[Migration {
        version: 1,
        name: "crash",
        sqlite: "CREATE TABLE crash_effects (event_id BLOB NOT NULL) STRICT;
                 CREATE TABLE crash_order (place INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, number INTEGER NOT NULL) STRICT",
        postgres: "CREATE TABLE crash_effects (event_id UUID NOT NULL);
                   CREATE TABLE crash_order (place BIGINT GENERATED ALWAYS AS IDENTITY, lane BIGINT NOT NULL, number BIGINT NOT NULL)",
    }],
};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) lane: u32,
    pub(crate) number: i64,
}

impl Event for Loaded {
    const TYPE: &'static str = "crash.loaded";

    fn ordering_key(&self) -> Option<String> {
        Some(format!("lane-{}", self.lane))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Followed {
    number: i64,
}

impl Event for Followed {
    const TYPE: &'static str = "crash.followed";
}

/// Writes an effect and publishes an event, in the delivery's transaction.
struct Effects {
    fault: Fault,
}

impl Module for Effects {
    const NAME: &'static str = "effects";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Loaded>();
    }
}

impl Handle<Loaded> for Effects {
    async fn handle(&mut self, event: &Loaded, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let id = cx.envelope().id;
        match self.fault {
            // A connection of its own: the effect commits whatever becomes of the ack.
            Fault::EffectWithoutReceipt => {
                use sqlx::Connection;
                let url = std::env::var("STENTOR_CRASH_URL")?;
                let mut connection = sqlx::PgConnection::connect(&url).await?;
                sqlx::query("INSERT INTO crash_effects (event_id) VALUES ($1)")
                    .bind(id)
                    .execute(&mut connection)
                    .await?;
            }
            // The reader writes it, if it sees the event.
            Fault::SeqReader => (),
            Fault::None | Fault::AckBeforeCommit => {
                let transaction = cx.transaction().await?;
                transaction.execute("INSERT INTO crash_effects (event_id) VALUES ($1)", args![id]).await?;
            }
        }
        cx.publish(Followed { number: event.number })?;
        Ok(())
    }
}

/// Writes down the order in which it sees the events of a lane.
struct InOrder;

impl Module for InOrder {
    const NAME: &'static str = "in-order";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Loaded>();
    }

    fn options() -> ModuleOptions {
        ModuleOptions::default().order(KeyOrder::Ordered)
    }
}

impl Handle<Loaded> for InOrder {
    async fn handle(&mut self, event: &Loaded, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let transaction = cx.transaction().await?;
        let insert = "INSERT INTO crash_order (lane, number) VALUES ($1, $2)";
        transaction.execute(insert, args![event.lane, event.number]).await?;
        Ok(())
    }
}

/// Writes into the book what it sees.
struct Plain {
    page: Arc<Page>,
}

impl Module for Plain {
    const NAME: &'static str = "plain";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Loaded>();
        on.event::<Followed>();
    }
}

impl Handle<Loaded> for Plain {
    async fn handle(&mut self, _: &Loaded, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.page.write(&cx.envelope().id.to_string());
        Ok(())
    }
}

impl Handle<Followed> for Plain {
    async fn handle(&mut self, _: &Followed, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.page.write(&cx.envelope().id.to_string());
        Ok(())
    }
}

pub(crate) fn run(mode: Mode) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = PathBuf::from(std::env::var("STENTOR_CRASH_BOOK").unwrap());
        let (round, fault) = mode.parts();
        let bus = start(&folder, round, fault).await;
        match mode {
            Mode::Load { .. } => load(&bus, &folder, round, fault).await,
            Mode::Finish { .. } => finish(&bus, fault).await,
        }
    });
}

async fn start(folder: &std::path::Path, round: u32, fault: Fault) -> Bus {
    let page = Arc::new(Page::open(folder, &format!("handled-{round}")));
    Bus::builder()
        .database(std::env::var("STENTOR_CRASH_URL").unwrap())
        .lease(Duration::from_millis(300))
        .poll_interval(Duration::from_millis(20))
        .migrations(&TABLES)
        .module(move || Effects { fault })
        .module(|| InOrder)
        .module(move || Plain { page: Arc::clone(&page) })
        .start()
        .await
        .unwrap()
}

/// Publishes on eight lanes, each in order, until the end.
async fn load(bus: &Bus, folder: &std::path::Path, round: u32, fault: Fault) {
    let published = Arc::new(Page::open(folder, "published"));
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..8 {
        let (bus, published) = (bus.clone(), Arc::clone(&published));
        let started = folder.join(format!("started-{round}"));
        lanes.spawn(async move {
            for count in 0_i64.. {
                let id = Uuid::now_v7();
                if fault == Fault::AckBeforeCommit {
                    published.write(&id.to_string());
                }
                let event = Loaded { lane, number: i64::from(round) * 1_000_000 + count };
                bus.publish(Publication::new(event).id(id)).await.unwrap();
                if fault != Fault::AckBeforeCommit {
                    published.write(&id.to_string());
                }
                std::fs::write(&started, []).unwrap();
            }
        });
    }
    if fault == Fault::SeqReader {
        lanes.spawn(reader::follow());
        let bus = bus.clone();
        lanes.spawn(async move { reader::publish_slowly(&bus, &published, round).await });
    }
    lanes.join_next().await.unwrap().unwrap();
}

/// Returns when everything is processed; gives up when nothing at all was processed for a minute.
async fn finish(bus: &Bus, fault: Fault) {
    let sql = "SELECT count(*) AS n FROM system_events WHERE processed_at IS NULL";
    let left = async || bus.client().fetch_all(sql, Vec::new()).await.unwrap()[0].get::<i64>("n").unwrap();
    let (mut before, mut since) = (left().await, Instant::now());
    while before > 0 {
        // Asked of the database, as an earlier child has published most of them: nobody here has their receipts.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = left().await;
        if now != before {
            (before, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_mins(1), "{before} events are stuck");
    }
    if fault == Fault::SeqReader {
        reader::catch_up().await;
    }
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
}
