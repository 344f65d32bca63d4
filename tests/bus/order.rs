//! Order: per ordering key, a module sees events in publish order.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use stentor::{Bus, KeyOrder, ModuleOptions, RetryPolicy};

use crate::events::{Act, Happened, Seen, Watcher, keyed};
use crate::world::{World, soon};

crate::on_both_databases!(
    keys_keep_their_order_over_workers,
    calls_that_overlap_keep_the_order_in_which_they_were_made,
    a_retry_holds_back_its_own_key_only,
    a_dead_delivery_holds_its_key_if_the_module_says_so,
    a_backlog_is_worked_off_in_order_per_key,
);

fn ordered() -> ModuleOptions {
    let retry = RetryPolicy::new().initial_delay(Duration::from_millis(40)).max_attempts(5);
    ModuleOptions::default().order(KeyOrder::Ordered).retry(retry)
}

async fn start(world: &World, watcher: &Watcher, options: ModuleOptions) -> Bus {
    world.builder().module_with(options, watcher.factory()).start().await.unwrap()
}

fn over_keys(events: u32, keys: u32) -> impl Iterator<Item = Happened> {
    (0..events).map(move |number| keyed(number, &format!("key-{}", number % keys)))
}

async fn take(watcher: &mut Watcher, count: u32) -> Vec<Seen> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(watcher.next().await);
    }
    seen
}

fn assert_ordered(seen: &[Seen], keys: u32) {
    let mut last: HashMap<u32, u32> = HashMap::new();
    for seen in seen {
        if let Some(before) = last.insert(seen.number % keys, seen.number) {
            assert!(before < seen.number, "{} came after {before}", seen.number);
        }
    }
}

async fn keys_keep_their_order_over_workers(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = start(&world, &watcher, ordered().workers(3)).await;
    bus.publish_all(over_keys(600, 7)).await.unwrap();
    let seen = take(&mut watcher, 600).await;
    assert_ordered(&seen, 7);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn calls_that_overlap_keep_the_order_in_which_they_were_made(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = start(&world, &watcher, ordered()).await;
    let mut calls: Vec<_> = over_keys(3_000, 3).map(|event| Some(Box::pin(bus.publish(event)))).collect();
    poll_fn(|cx| {
        for call in &mut calls {
            let answer = call.as_mut().map(|call| call.as_mut().poll(cx));
            if let Some(Poll::Ready(stored)) = answer {
                stored.unwrap();
                *call = None;
            }
        }
        if calls.iter().any(Option::is_some) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    assert_ordered(&take(&mut watcher, 3_000).await, 3);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_retry_holds_back_its_own_key_only(world: World) {
    let mut watcher = Watcher::new([Act::Fail]);
    let bus = start(&world, &watcher, ordered()).await;
    let receipts = bus.publish_all(over_keys(20, 2)).await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
    }
    let seen = take(&mut watcher, 21).await;
    assert_eq!((seen[0].number, seen[0].attempt), (0, 1));
    let succeeded: Vec<Seen> = seen.into_iter().skip(1).collect();
    assert_ordered(&succeeded, 2);
    let retried = succeeded.iter().position(|seen| seen.number == 0).unwrap();
    assert!(retried > 0, "the other key went on in the meantime");
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_dead_delivery_holds_its_key_if_the_module_says_so(world: World) {
    let mut watcher = Watcher::new([Act::FailFatally]);
    let bus = start(&world, &watcher, ordered().order(KeyOrder::OrderedHoldingDead)).await;
    let dead = bus.publish(keyed(0, "a")).await.unwrap();
    soon(dead.processed()).await.unwrap();
    let held = bus.publish(keyed(1, "a")).await.unwrap();
    let other = bus.publish(keyed(2, "b")).await.unwrap();
    soon(other.processed()).await.unwrap();
    assert!(!bus.client().is_processed(held.id()).await.unwrap());
    let filter = stentor::audit::DeliveryFilter { event_id: Some(dead.id()), ..Default::default() };
    assert_eq!(bus.client().redrive(&filter).await.unwrap(), 1);
    soon(held.processed()).await.unwrap();
    let numbers: Vec<u32> = take(&mut watcher, 4).await.iter().map(|seen| seen.number).collect();
    assert_eq!(numbers, [0, 2, 0, 1]);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_backlog_is_worked_off_in_order_per_key(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = start(&world, &watcher, ordered().workers(2)).await;
    bus.pause("probe").await.unwrap();
    bus.publish_all(over_keys(900, 5)).await.unwrap();
    bus.resume("probe").await.unwrap();
    bus.publish_all(over_keys(2_000, 5).skip(900)).await.unwrap();
    let seen = take(&mut watcher, 2_000).await;
    assert_ordered(&seen, 5);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
