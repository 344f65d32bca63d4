//! A rate limit: a module starts no more deliveries in any stretch of time than it allows.

use std::time::{Duration, Instant};

use stentor::ModuleOptions;

use crate::events::{Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(
    all_workers_of_a_module_share_its_limit,
    a_module_that_waits_for_its_limit_stops_with_the_bus_and_goes_on_after_it,
);

async fn all_workers_of_a_module_share_its_limit(world: World) {
    let mut watcher = Watcher::new([]);
    let limited = ModuleOptions::default().workers(3).rate_limit(100);
    let bus = world.builder().module_with(limited, watcher.factory()).start().await.unwrap();
    let start = Instant::now();
    bus.publish_all((0..60).map(happened)).await.unwrap();
    for _ in 0..60 {
        watcher.next().await;
    }
    // A tenth of a second's worth may come at once. This is the least it takes, however fast the machine.
    let least = Duration::from_millis(490);
    assert!(start.elapsed() >= least, "60 deliveries took {:?}", start.elapsed());
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_module_that_waits_for_its_limit_stops_with_the_bus_and_goes_on_after_it(world: World) {
    let mut watcher = Watcher::new([]);
    let limited = || ModuleOptions::default().rate_limit(1);
    let bus = world.builder().module_with(limited(), watcher.factory()).start().await.unwrap();
    let receipts = bus.publish_all((0..3).map(happened)).await.unwrap();
    assert_eq!(watcher.next().await.number, 0);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();

    let unlimited = ModuleOptions::default();
    let bus = world.builder().module_with(unlimited, watcher.factory()).start().await.unwrap();
    for number in 1..3 {
        let seen = watcher.next().await;
        assert_eq!((seen.number, seen.attempt), (number, 1), "what was not started was not tried");
    }
    for receipt in receipts {
        let processed = async {
            while bus.client().event(receipt.id()).await.unwrap().unwrap().event.processed_at.is_none() {
                tokio::task::yield_now().await;
            }
        };
        soon(processed).await;
    }
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
