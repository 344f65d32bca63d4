//! The fan-out: P publishers, F modules, until the last `processed_at` is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::meter::{Shared, resident_bytes};
use super::{BenchError, FanOutOptions, FanOutReport, floor};
use crate::bus::Receipt;
use crate::module::{Handle, Module, ModuleOptions, Subscriptions};
use crate::supervisor::Definition;
use crate::{Bus, Context, DatabaseKind, Event, HandlerError};

/// How long after the last publish the last event may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// One publish in so many has its way to the handler and to `processed_at` measured.
const SAMPLE: u64 = 64;

/// An event that says when it was published.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Nanoseconds since the benchmark began.
    pub(super) at: u64,
    pub(super) padding: String,
}

impl Event for Measured {
    const TYPE: &'static str = "bench.measured";
}

/// A module that does nothing; the first one also looks at the clock now and then.
struct Idle {
    clock: Option<Clock>,
    count: u64,
}

/// What a handler writes its latencies into.
#[derive(Clone)]
struct Clock {
    start: Instant,
    latencies: Shared,
    /// One event in so many is measured.
    sample: u64,
}

impl Module for Idle {
    const NAME: &'static str = "bench";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Measured>();
    }
}

impl Handle<Measured> for Idle {
    async fn handle(&mut self, event: &Measured, _: &mut Context<'_>) -> Result<(), HandlerError> {
        if let Some(clock) = &self.clock {
            if self.count.is_multiple_of(clock.sample) {
                clock.latencies.record((nanos(clock.start) - event.at) / 1_000);
            }
            self.count += 1;
        }
        Ok(())
    }
}

pub(super) fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Measures a fan-out.
///
/// # Errors
///
/// Fails if an option is out of bounds, the bus or the store fails, or events are not processed in time.
pub async fn fan_out(options: FanOutOptions) -> Result<FanOutReport, BenchError> {
    check(&options)?;
    let start = Instant::now();
    let handler = Shared::new();
    let bus = start_bus(&options, start, &handler).await?;
    for index in 0..options.paused_modules {
        bus.client().pause(&module_name(index)).await?;
    }
    settle_down(&bus).await;
    let rss_idle_bytes = resident_bytes().0;
    let before = floor::Wal::read(&bus).await?;
    let statements_before = bus.statements();
    let run = publish_all(&bus, &options, start).await?;
    let statements = bus.statements() - statements_before;
    let wal = floor::Wal::rise(before, floor::Wal::read(&bus).await?, options.events);
    let rss_peak_bytes = resident_bytes().1;
    bus.shutdown(Duration::from_secs(10)).await?;
    let floor = if options.floor { Some(floor::measure(&options).await?) } else { None };
    Ok(report(&options, &run, &handler, rss_idle_bytes, rss_peak_bytes, statements, floor, wal))
}

struct RunResult {
    database: &'static str,
    elapsed: Duration,
    publish: Shared,
    processed: Shared,
}

fn check(options: &FanOutOptions) -> Result<(), BenchError> {
    let within = |option, value: u64, min: u64, max: u64, allowed| {
        let error = BenchError::Option { option, value, allowed };
        (min..=max).contains(&value).then_some(()).ok_or(error)
    };
    within("modules", u64::from(options.modules), 1, 1_000, "1 to 1,000")?;
    within("events", options.events, 1, 1_000_000_000, "1 to 1,000,000,000")?;
    within("publishers", u64::from(options.publishers), 1, 65_536, "1 to 65,536")?;
    within("payload-bytes", options.payload_bytes as u64, 32, 262_144, "32 to 262,144")
}

fn module_name(index: u32) -> String {
    format!("bench-{index}")
}

async fn start_bus(options: &FanOutOptions, start: Instant, handler: &Shared) -> Result<Bus, BenchError> {
    let mut builder = Bus::builder().store(options.store.clone());
    for index in 0..options.modules {
        // The last one is never paused: its clock is the handlers'.
        let sample = if options.rate.is_some() { 1 } else { SAMPLE };
        let clock =
            (index + 1 == options.modules).then(|| Clock { start, latencies: handler.clone(), sample });
        let factory = move || Idle { clock: clock.clone(), count: 0 };
        let definition = Definition::of(&module_name(index), ModuleOptions::default(), factory);
        builder = builder.definition(definition);
    }
    Ok(builder.start().await?)
}

/// Waits until every module has looked into the store and is on the live path.
async fn settle_down(bus: &Bus) {
    for _ in 0..200 {
        let Ok(modules) = bus.modules().await else { return };
        let ready = |module: &crate::ModuleHealth| {
            module.workers_ready == module.workers && module.state != crate::delivery::ModuleState::Behind
        };
        if modules.iter().all(ready) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

async fn publish_all(bus: &Bus, options: &FanOutOptions, start: Instant) -> Result<RunResult, BenchError> {
    let (publish, processed) = (Shared::new(), Shared::new());
    let (finished, mut waits) = mpsc::unbounded_channel::<tokio::task::JoinHandle<()>>();
    let pace = options.rate.map(|rate| Duration::from_secs_f64(f64::from(options.publishers) / rate));
    let began = Instant::now();
    let mut publishers = tokio::task::JoinSet::new();
    let publishers_count = u64::from(options.publishers);
    for index in 0..options.publishers {
        let is_early = u64::from(index) < options.events % publishers_count;
        let share = options.events / publishers_count + u64::from(is_early);
        let publisher = Publisher {
            bus: bus.clone(),
            share,
            pace,
            place: f64::from(index) / f64::from(options.publishers),
            start,
            padding: "x".repeat(options.payload_bytes.saturating_sub(32)),
            publish: publish.clone(),
            processed: processed.clone(),
            waits: finished.clone(),
            // Spread the samples over the publishers.
            phase: u64::from(index) % SAMPLE,
            // Nothing is processed while a module is paused.
            waits_for_processed: options.paused_modules == 0,
        };
        publishers.spawn(publisher.run());
    }
    drop(finished);
    let mut last = Vec::new();
    while let Some(done) = publishers.join_next().await {
        match done {
            Ok(receipt) => last.extend(receipt?),
            Err(error) => tracing::error!(%error, "a publisher ended early"),
        }
    }
    if options.paused_modules == 0 {
        let all = async {
            for receipt in &last {
                receipt.processed().await.ok();
            }
        };
        let missing = BenchError::Unfinished { missing: last.len() as u64, waited: PATIENCE };
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| missing)?;
    }
    let elapsed = began.elapsed();
    if options.paused_modules == 0 {
        while let Some(wait) = waits.recv().await {
            wait.await.ok();
        }
    }
    let database = match bus.client().database_kind() {
        DatabaseKind::Sqlite => "sqlite",
        DatabaseKind::Postgres => "postgres",
    };
    Ok(RunResult { database, elapsed, publish, processed })
}

struct Publisher {
    bus: Bus,
    share: u64,
    pace: Option<Duration>,
    /// Its place among the publishers, from 0 to 1.
    place: f64,
    start: Instant,
    padding: String,
    publish: Shared,
    processed: Shared,
    waits: mpsc::UnboundedSender<tokio::task::JoinHandle<()>>,
    phase: u64,
    waits_for_processed: bool,
}

impl Publisher {
    /// Publishes its share, one after the other, and returns the last receipt.
    async fn run(self) -> Result<Option<Receipt>, crate::PublishError> {
        let mut last = None;
        // Evenly spread: publishers that tick together would be a burst.
        let turn = |pace: Duration| tokio::time::Instant::now() + pace.mul_f64(self.place);
        let mut ticks = self.pace.map(|pace| tokio::time::interval_at(turn(pace), pace));
        for count in 0..self.share {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let at = nanos(self.start);
            let receipt = self.bus.publish(Measured { at, padding: self.padding.clone() }).await?;
            self.publish.record((nanos(self.start) - at) / 1_000);
            let is_sample = self.pace.is_some() || (count + self.phase).is_multiple_of(SAMPLE);
            if is_sample && self.waits_for_processed {
                self.time_to_processed(receipt.clone(), at);
            }
            last = Some(receipt);
        }
        Ok(last)
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark is its own embedder")]
    fn time_to_processed(&self, receipt: Receipt, at: u64) {
        let (start, processed) = (self.start, Arc::new(self.processed.clone()));
        let wait = tokio::spawn(async move {
            if receipt.processed().await.is_ok() {
                processed.record((nanos(start) - at) / 1_000);
            }
        });
        self.waits.send(wait).ok();
    }
}

#[expect(
    clippy::too_many_arguments,
    clippy::cast_precision_loss,
    reason = "one report from all parts of a run"
)]
fn report(
    options: &FanOutOptions,
    run: &RunResult,
    handler: &Shared,
    rss_idle_bytes: u64,
    rss_peak_bytes: u64,
    statements: u64,
    floor: Option<floor::Floor>,
    wal: floor::WalUse,
) -> FanOutReport {
    let events_per_s = options.events as f64 / run.elapsed.as_secs_f64();
    FanOutReport {
        database: run.database,
        modules: options.modules,
        events: options.events,
        publishers: options.publishers,
        payload_bytes: options.payload_bytes,
        elapsed_ms: u64::try_from(run.elapsed.as_millis()).unwrap_or(u64::MAX),
        events_per_s,
        deliveries_per_s: events_per_s * f64::from(options.modules - options.paused_modules),
        publish_p50_us: run.publish.quantile(0.5),
        publish_p99_us: run.publish.quantile(0.99),
        handler_p50_us: handler.quantile(0.5),
        handler_p99_us: handler.quantile(0.99),
        processed_p50_us: run.processed.quantile(0.5),
        processed_p99_us: run.processed.quantile(0.99),
        rss_idle_bytes,
        rss_peak_bytes,
        statements,
        floor_events_per_s: floor.as_ref().map(|floor| floor.events_per_s),
        floor_ratio: floor.as_ref().map(|floor| events_per_s / floor.events_per_s),
        floor_setting: floor.map(|floor| floor.setting),
        wal_bytes_per_event: wal.bytes,
        commits_per_event: wal.commits,
        dead_tuples_per_event: wal.dead_tuples,
        hot_update_ratio: wal.hot_updates,
    }
}
