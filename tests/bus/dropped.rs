//! A bus that is dropped without being told to shut down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stentor::Bus;
use tokio::task::JoinSet;

use crate::events::{Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(connections_go_back_from_the_middle_of_a_commit);

/// Starts a bus as soon as the threads of the one before have let go of an SQLite file.
async fn start(world: &World, watcher: &Watcher) -> Bus {
    loop {
        match world.builder().module(watcher.factory()).start().await {
            Ok(bus) => return bus,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        // Nothing outside those threads tells when they have ended.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn connections_go_back_from_the_middle_of_a_commit(world: World) {
    let panics = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&panics);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Other tests of this process panic on purpose.
        if info.payload_as_str().is_some_and(|message| message.contains("Tokio context")) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        usual(info);
    }));
    for round in 0..30 {
        let watcher = Watcher::new([]);
        let bus = soon(start(&world, &watcher)).await;
        let mut publishers = JoinSet::new();
        for number in 0..4 {
            let bus = bus.clone();
            publishers.spawn(async move { while bus.publish(happened(number)).await.is_ok() {} });
        }
        // Another moment each time: where in a commit it falls is the point.
        tokio::time::sleep(Duration::from_micros(500 + round * 97)).await;
        publishers.shutdown().await;
        drop(bus);
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
}
