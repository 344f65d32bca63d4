//! Isolation and supervision: what one module does to itself, no other feels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use stentor::delivery::ModuleState;
use stentor::{
    BreakerPolicy, BreakerState, Bus, Context, Handle, HandlerError, Module, ModuleHealth, ModuleOptions,
    RetryPolicy, Subscriptions,
};

use crate::events::{Act, Happened, Watcher, happened};
use crate::world::{World, soon};

crate::on_both_databases!(
    a_panic_in_drop_and_in_a_factory_ends_nothing_but_the_worker,
    a_handler_that_never_returns_delays_no_other_module_and_no_stop,
    a_handler_that_blocks_its_thread_loses_its_neighbours,
    a_paused_module_gets_everything_when_it_is_resumed,
    an_open_breaker_keeps_deliveries_in_the_store_until_a_probe_succeeds,
    a_module_that_falls_behind_gets_everything_in_the_end,
    several_workers_share_the_deliveries_of_a_module,
);

async fn health(bus: &Bus, name: &str) -> ModuleHealth {
    bus.modules().await.unwrap().into_iter().find(|module| module.name == name).unwrap()
}

/// A module whose state panics when it is dropped, and whose factory panics now and then.
struct Brittle;

impl Drop for Brittle {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a state that does not go quietly");
    }
}

impl Module for Brittle {
    const NAME: &'static str = "brittle";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Happened>();
    }

    fn options() -> ModuleOptions {
        ModuleOptions::default().retry(RetryPolicy::new().initial_delay(Duration::from_millis(1)))
    }
}

impl Handle<Happened> for Brittle {
    async fn handle(&mut self, _: &Happened, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        assert!(cx.attempt() > 1, "the first attempt panics");
        Ok(())
    }
}

async fn a_panic_in_drop_and_in_a_factory_ends_nothing_but_the_worker(world: World) {
    let built = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&built);
    let factory = move || {
        assert!(counted.fetch_add(1, Ordering::SeqCst) != 1, "the second worker cannot be built");
        Brittle
    };
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(factory).module(watcher.factory()).start().await.unwrap();
    let receipt = bus.publish(happened(1)).await.unwrap();
    soon(receipt.processed()).await.unwrap();
    assert_eq!(watcher.next().await.number, 1);
    assert_eq!(built.load(Ordering::SeqCst), 3);
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// Waits for its permission before it returns, asleep or on its thread.
struct Stubborn {
    may_go: Arc<AtomicBool>,
    blocks: bool,
}

impl Module for Stubborn {
    const NAME: &'static str = "stubborn";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Happened>();
    }
}

impl Handle<Happened> for Stubborn {
    async fn handle(&mut self, _: &Happened, _: &mut Context<'_>) -> Result<(), HandlerError> {
        while !self.may_go.load(Ordering::SeqCst) {
            // It heeds no signal: to be stubborn is what it is for.
            if self.blocks {
                std::thread::sleep(Duration::from_millis(5));
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

async fn a_handler_that_never_returns_delays_no_other_module_and_no_stop(world: World) {
    let may_go = Arc::new(AtomicBool::new(false));
    let mut watcher = Watcher::new([]);
    let factory = move || Stubborn { may_go: Arc::clone(&may_go), blocks: false };
    let bus = world.builder().threads(1).module(factory).module(watcher.factory()).start().await.unwrap();
    for number in 0..50 {
        bus.publish(happened(number)).await.unwrap();
        assert_eq!(watcher.next().await.number, number);
    }
    soon(bus.shutdown(Duration::from_millis(200))).await.unwrap();
}

async fn a_handler_that_blocks_its_thread_loses_its_neighbours(world: World) {
    let may_go = Arc::new(AtomicBool::new(false));
    let permission = Arc::clone(&may_go);
    let mut watcher = Watcher::new([]);
    let factory = move || Stubborn { may_go: Arc::clone(&permission), blocks: true };
    let bus = world.builder().threads(1).module(factory).module(watcher.factory()).start().await.unwrap();
    let receipt = bus.publish(happened(1)).await.unwrap();
    bus.publish(happened(2)).await.unwrap();
    // On the one thread that both share, the probe can only go on after it got another.
    let mut numbers = vec![watcher.next().await.number, watcher.next().await.number];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert!(health(&bus, "stubborn").await.blocks_its_thread);
    may_go.store(true, Ordering::SeqCst);
    soon(receipt.processed()).await.unwrap();
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_paused_module_gets_everything_when_it_is_resumed(world: World) {
    let mut watcher = Watcher::new([]);
    let bus = world.builder().module(watcher.factory()).start().await.unwrap();
    bus.pause("probe").await.unwrap();
    let receipts = bus.publish_all((0..30).map(happened)).await.unwrap();
    assert_eq!(health(&bus, "probe").await.state, ModuleState::Paused);
    assert!(watcher.is_quiet());
    bus.resume("probe").await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..30 {
        numbers.push(watcher.next().await.number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn an_open_breaker_keeps_deliveries_in_the_store_until_a_probe_succeeds(world: World) {
    let breaker = BreakerPolicy::new().min_calls(4).open_for(Duration::from_millis(300));
    let retry = RetryPolicy::new().initial_delay(Duration::from_millis(1)).max_attempts(30);
    let options = ModuleOptions::default().breaker(breaker).retry(retry);
    let watcher = Watcher::new(vec![Act::Fail; 4]);
    let bus = world.builder().module_with(options, watcher.factory()).start().await.unwrap();
    let receipts = bus.publish_all((0..10).map(happened)).await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
    }
    let breaker = &health(&bus, "probe").await.breakers[0];
    assert_eq!((breaker.state, breaker.opens), (BreakerState::Closed, 1));
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_module_that_falls_behind_gets_everything_in_the_end(world: World) {
    let mut watcher = Watcher::new([]);
    let options = ModuleOptions::default().capacity(8);
    let bus = world.builder().module_with(options, watcher.factory()).start().await.unwrap();
    let receipts = bus.publish_all((0..400).map(happened)).await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
    }
    let mut times = vec![0; 400];
    for _ in 0..400 {
        times[watcher.next().await.number as usize] += 1;
    }
    assert!(times.iter().all(|times| *times == 1));
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn several_workers_share_the_deliveries_of_a_module(world: World) {
    let mut watcher = Watcher::new([]);
    let options = ModuleOptions::default().workers(4);
    let bus = world.builder().module_with(options, watcher.factory()).start().await.unwrap();
    let receipts = bus.publish_all((0..400).map(happened)).await.unwrap();
    for receipt in &receipts {
        soon(receipt.processed()).await.unwrap();
    }
    let mut fresh = 0;
    for _ in 0..400 {
        fresh += u32::from(watcher.next().await.before == 0);
    }
    assert_eq!(health(&bus, "probe").await.workers_ready, 4);
    assert!((2..=4).contains(&fresh), "{fresh} workers took part");
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
