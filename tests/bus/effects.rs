//! Effects exactly once: what a handler writes, its ack and its events commit together.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor::store::Migration;
use stentor::{
    Bus, Context, Event, Handle, HandlerError, MigrationSet, Module, ModuleOptions, RetryPolicy,
    Subscriptions, args,
};

use crate::events::{Happened, happened};
use crate::world::{World, soon};

crate::on_both_databases!(
    an_effect_its_ack_and_its_events_commit_together,
    a_failed_attempt_leaves_nothing_behind,
    a_command_and_its_event_commit_together,
    an_event_in_the_hosts_own_transaction_is_published_by_its_commit,
);

pub(crate) static TABLES: MigrationSet = MigrationSet {
    table: "_effects_migrations",
    migrations: &[Migration {
        version: 1,
        name: "effects",
        // No unique key: a double effect would show.
        sqlite: "CREATE TABLE effects (number INTEGER NOT NULL) STRICT",
        postgres: "CREATE TABLE effects (number BIGINT NOT NULL)",
    }],
};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Followed {
    number: u32,
}

impl Event for Followed {
    const TYPE: &'static str = "test.followed";
}

/// Writes one row and publishes one event for each event; fails first attempts if it is told to.
pub(crate) struct Writer {
    pub(crate) fails_first: bool,
}

impl Module for Writer {
    const NAME: &'static str = "writer";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Happened>();
    }

    fn options() -> ModuleOptions {
        ModuleOptions::default().retry(RetryPolicy::new().initial_delay(Duration::from_millis(1)))
    }
}

impl Handle<Happened> for Writer {
    async fn handle(&mut self, event: &Happened, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let fails = self.fails_first && cx.attempt() == 1;
        let transaction = cx.transaction().await?;
        transaction.execute("INSERT INTO effects (number) VALUES ($1)", args![event.number]).await?;
        cx.publish(Followed { number: event.number })?;
        if fails {
            return Err(HandlerError::retryable("after the effect, before the ack"));
        }
        Ok(())
    }
}

async fn start(world: &World, fails_first: bool) -> Bus {
    let builder = world.builder().migrations(&TABLES).event::<Followed>();
    builder.module(move || Writer { fails_first }).start().await.unwrap()
}

pub(crate) async fn effects(bus: &Bus) -> Vec<i64> {
    let rows =
        bus.client().fetch_all("SELECT number FROM effects ORDER BY number", Vec::new()).await.unwrap();
    rows.iter().map(|row| row.get("number").unwrap()).collect()
}

async fn an_effect_its_ack_and_its_events_commit_together(world: World) {
    let bus = start(&world, false).await;
    let receipt = bus.publish(happened(1)).await.unwrap();
    soon(receipt.processed()).await.unwrap();
    assert_eq!(effects(&bus).await, [1]);
    let detail = bus.client().event(receipt.id()).await.unwrap().unwrap();
    assert_eq!(detail.caused.len(), 1);
    assert_eq!(detail.caused[0].event_type, "test.followed");
    assert_eq!(detail.caused[0].causation_id, Some(receipt.id()));
    assert_eq!(detail.caused[0].correlation_id, Some(receipt.id()));
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_failed_attempt_leaves_nothing_behind(world: World) {
    let bus = start(&world, true).await;
    let receipts = bus.publish_all((0..4).map(happened)).await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
        let detail = bus.client().event(receipt.id()).await.unwrap().unwrap();
        assert_eq!((detail.caused.len(), detail.deliveries[0].attempts), (1, 2));
    }
    assert_eq!(effects(&bus).await, [0, 1, 2, 3]);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_command_and_its_event_commit_together(world: World) {
    let bus = start(&world, false).await;
    let mut dropped = bus.begin().await.unwrap();
    dropped.execute("INSERT INTO effects (number) VALUES ($1)", args![70]).await.unwrap();
    dropped.publish(happened(7)).unwrap();
    drop(dropped);
    let mut kept = bus.begin().await.unwrap();
    kept.execute("INSERT INTO effects (number) VALUES ($1)", args![80]).await.unwrap();
    let id = kept.publish(happened(8)).unwrap();
    kept.commit().await.unwrap();
    soon(async {
        while !bus.client().is_processed(id).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(effects(&bus).await, [8, 80]);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn an_event_in_the_hosts_own_transaction_is_published_by_its_commit(world: World) {
    use sqlx::Connection;
    let bus = start(&world, false).await;
    let id = if world.path().is_some() {
        let mut connection = sqlx::SqliteConnection::connect(&world.url).await.unwrap();
        let mut rolled_back = connection.begin().await.unwrap();
        bus.publish_in(&mut *rolled_back, happened(1)).await.unwrap();
        rolled_back.rollback().await.unwrap();
        let mut committed = connection.begin().await.unwrap();
        let id = bus.publish_in(&mut *committed, happened(2)).await.unwrap();
        committed.commit().await.unwrap();
        id
    } else {
        let mut connection = sqlx::PgConnection::connect(&world.url).await.unwrap();
        let mut rolled_back = connection.begin().await.unwrap();
        bus.publish_in(&mut *rolled_back, happened(1)).await.unwrap();
        rolled_back.rollback().await.unwrap();
        let mut committed = connection.begin().await.unwrap();
        let id = bus.publish_in(&mut *committed, happened(2)).await.unwrap();
        committed.commit().await.unwrap();
        id
    };
    soon(async {
        while !bus.client().is_processed(id).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(effects(&bus).await, [2]);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
