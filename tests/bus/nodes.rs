//! Several nodes on one PostgreSQL database.

use std::sync::Arc;
use std::time::Duration;

use stentor::{Bus, KeyOrder, ModuleOptions};
use tokio::sync::mpsc;

use crate::events::{Happened, Watcher, happened, keyed};
use crate::world::{Kind, World, soon};

async fn closure(bus: &Bus, name: &str) -> mpsc::UnboundedReceiver<u32> {
    let (sender, seen) = mpsc::unbounded_channel();
    let handler = move |event: Arc<Happened>| {
        let sender = sender.clone();
        async move { Ok(sender.send(event.number)?) }
    };
    bus.subscribe(name, handler).await.unwrap();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_modules_of_every_node() {
    let world = World::new(Kind::Postgres).await;
    let left = world.builder().start().await.unwrap();
    let right = world.builder().start().await.unwrap();
    let mut on_left = closure(&left, "left").await;
    let mut on_right = closure(&right, "right").await;
    // A node learns of a subscription that another one made with its next poll.
    soon(async {
        while left.handler_count("test.happened") < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for number in 0..50 {
        let receipt = left.publish(happened(number)).await.unwrap();
        soon(receipt.processed()).await.unwrap();
    }
    for seen in [&mut on_left, &mut on_right] {
        let mut numbers = Vec::new();
        for _ in 0..50 {
            numbers.push(soon(seen.recv()).await.unwrap());
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..50));
    }
    left.shutdown(Duration::from_secs(5)).await.unwrap();
    right.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_backlog_of_a_module() {
    let world = World::new(Kind::Postgres).await;
    let mut watcher = Watcher::new([]);
    let left = world.builder().module(watcher.factory()).start().await.unwrap();
    let right = world.builder().module(watcher.factory()).start().await.unwrap();
    left.pause("probe").await.unwrap();
    left.publish_all((0..400).map(happened)).await.unwrap();
    left.resume("probe").await.unwrap();
    let mut numbers = Vec::new();
    for _ in 0..400 {
        numbers.push(watcher.next().await.number);
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..400), "each once");
    left.shutdown(Duration::from_secs(5)).await.unwrap();
    right.shutdown(Duration::from_secs(5)).await.unwrap();
    assert!(watcher.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_module_runs_on_one_node_and_moves_when_that_leaves() {
    let world = World::new(Kind::Postgres).await;
    let mut watcher = Watcher::new([]);
    let options = || ModuleOptions::default().order(KeyOrder::Ordered);
    let left = world.builder().module_with(options(), watcher.factory()).start().await.unwrap();
    let right = world.builder().module_with(options(), watcher.factory()).start().await.unwrap();
    for number in 0..100 {
        let bus = if number % 2 == 0 { &left } else { &right };
        bus.publish(keyed(number, "key")).await.unwrap();
    }
    left.shutdown(Duration::from_secs(5)).await.unwrap();
    for number in 100..200 {
        right.publish(keyed(number, "key")).await.unwrap();
    }
    for expected in 0..200 {
        assert_eq!(watcher.next().await.number, expected);
    }
    right.shutdown(Duration::from_secs(5)).await.unwrap();
    assert!(watcher.is_quiet());
}
