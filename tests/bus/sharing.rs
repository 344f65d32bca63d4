//! Deliveries that share a transaction: a failure undoes none of its neighbours.

use std::time::Duration;

use stentor::audit::DeliveryFilter;
use stentor::delivery::DeliveryState;
use stentor::store::Migration;
use stentor::{
    Bus, Context, Handle, HandlerError, MigrationSet, Module, ModuleOptions, Receipt, RetryPolicy,
    Subscriptions, args,
};

use crate::events::{Happened, happened};
use crate::world::{World, soon};

crate::on_both_databases!(
    what_goes_well_is_committed_together,
    a_failure_undoes_none_of_its_neighbours,
    claimed_deliveries_share_a_transaction_too,
    a_panic_costs_its_neighbours_no_attempt,
);

static TABLES: MigrationSet = MigrationSet {
    table: "_sharing_migrations",
    migrations: &[Migration {
        version: 1,
        name: "effects",
        // No unique key: a double effect would show.
        sqlite: "CREATE TABLE effects (number INTEGER NOT NULL) STRICT",
        postgres: "CREATE TABLE effects (number BIGINT NOT NULL)",
    }],
};

/// What a number's first attempt does after its effect.
fn fate(number: u32) -> &'static str {
    match number % 20 {
        3 => "dies",
        5 => "fails",
        8 => "has no effect",
        _ if number == 137 => "panics",
        _ => "succeeds",
    }
}

struct Sharer;

impl Module for Sharer {
    const NAME: &'static str = "sharer";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Happened>();
    }

    fn options() -> ModuleOptions {
        ModuleOptions::default()
            .deliveries_per_transaction(16)
            .retry(RetryPolicy::new().initial_delay(Duration::from_millis(1)))
    }
}

impl Handle<Happened> for Sharer {
    async fn handle(&mut self, event: &Happened, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let fate = fate(event.number);
        if fate == "has no effect" {
            return Ok(());
        }
        let first = cx.attempt() == 1;
        let transaction = cx.transaction().await?;
        transaction.execute("INSERT INTO effects (number) VALUES ($1)", args![event.number]).await?;
        match fate {
            "dies" => Err(HandlerError::fatal("after the effect")),
            "fails" if first => Err(HandlerError::retryable("after the effect")),
            "panics" if first => panic!("after the effect"),
            _ => Ok(()),
        }
    }
}

async fn start(world: &World) -> Bus {
    world.builder().migrations(&TABLES).module(|| Sharer).start().await.unwrap()
}

async fn publish(bus: &Bus, numbers: std::ops::Range<u32>) -> Vec<Receipt> {
    bus.publish_all(numbers.map(happened)).await.unwrap()
}

/// Waits until each is done, in whatever way.
async fn settled(receipts: &[Receipt]) {
    for receipt in receipts {
        soon(receipt.processed()).await.unwrap();
    }
}

async fn every_effect_is_there_once(bus: &Bus, numbers: std::ops::Range<u32>) {
    let rows = bus.client().fetch_all("SELECT number FROM effects ORDER BY number", args![]).await.unwrap();
    let effects: Vec<i64> = rows.iter().map(|row| row.get("number").unwrap()).collect();
    let has_effect = |number: &u32| !["dies", "has no effect"].contains(&fate(*number));
    assert_eq!(effects, numbers.filter(has_effect).map(i64::from).collect::<Vec<_>>());
}

async fn attempts(bus: &Bus, receipt: &Receipt) -> (DeliveryState, u32) {
    let filter = DeliveryFilter { event_id: Some(receipt.id()), ..DeliveryFilter::default() };
    let delivery = bus.client().deliveries(&filter, 10).await.unwrap().remove(0);
    (delivery.state, u32::try_from(delivery.attempts).unwrap())
}

/// Only PostgreSQL tells which transaction wrote a row.
async fn transactions_were_shared(world: &World, bus: &Bus) {
    if world.path().is_some() {
        return;
    }
    let sql = "SELECT COUNT(*) AS effects, COUNT(DISTINCT xmin::text) AS transactions FROM effects";
    let row = bus.client().fetch_all(sql, args![]).await.unwrap().remove(0);
    let (effects, transactions): (i64, i64) = (row.get("effects").unwrap(), row.get("transactions").unwrap());
    assert!(transactions * 2 <= effects, "{effects} effects took {transactions} transactions");
}

async fn what_goes_well_is_committed_together(world: World) {
    let bus = start(&world).await;
    // Not one of these fails.
    let receipts = publish(&bus, 206..223).await;
    settled(&receipts).await;
    every_effect_is_there_once(&bus, 206..223).await;
    transactions_were_shared(&world, &bus).await;
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_failure_undoes_none_of_its_neighbours(world: World) {
    let bus = start(&world).await;
    let receipts = publish(&bus, 60..120).await;
    settled(&receipts).await;
    every_effect_is_there_once(&bus, 60..120).await;
    for (number, receipt) in (60..120).zip(&receipts) {
        let expected = match fate(number) {
            "dies" => (DeliveryState::Dead, 1),
            "fails" => (DeliveryState::Acked, 2),
            _ => (DeliveryState::Acked, 1),
        };
        assert_eq!(attempts(&bus, receipt).await, expected, "{number}");
    }
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn claimed_deliveries_share_a_transaction_too(world: World) {
    let bus = start(&world).await;
    bus.client().pause("sharer").await.unwrap();
    let receipts = publish(&bus, 0..200).await;
    bus.client().resume("sharer").await.unwrap();
    settled(&receipts).await;
    every_effect_is_there_once(&bus, 0..200).await;
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_panic_costs_its_neighbours_no_attempt(world: World) {
    let bus = start(&world).await;
    // Only one of these fails.
    let receipts = publish(&bus, 129..143).await;
    settled(&receipts).await;
    every_effect_is_there_once(&bus, 129..143).await;
    for (number, receipt) in (129..143).zip(&receipts) {
        let expected = if fate(number) == "panics" { 2 } else { 1 };
        assert_eq!(attempts(&bus, receipt).await, (DeliveryState::Acked, expected), "{number}");
    }
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
