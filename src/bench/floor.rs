//! The floor: the bus's own two statements with no bus around them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use uuid::Uuid;

use super::fan_out::{Measured, nanos};
use super::{BenchError, FanOutOptions};
use crate::delivery::{Routed, Settlement};
use crate::publication::Publication;
use crate::store::{Commit, CommitError, Spill, Store};
use crate::{Bus, DatabaseKind};

/// The fastest that the bare statements were.
pub(super) struct Floor {
    pub(super) events_per_s: f64,
    pub(super) setting: String,
}

/// How long each setting is tried.
const TRY: Duration = Duration::from_millis(1_500);
/// How long the best setting is measured.
const MEASURE: Duration = Duration::from_secs(5);

/// Finds the best batch size and number of connections, then measures them.
pub(super) async fn measure(options: &FanOutOptions) -> Result<Floor, BenchError> {
    let store = Store::open(&options.store, Handle::current()).await?;
    let connections: &[usize] = if store.has_one_writer() { &[1] } else { &[1, 2] };
    let mut best = (0.0, 1_000, 1);
    for batch in [500, 1_000, 2_000, 4_000] {
        for lanes in connections {
            let rate = run(&store, options, batch, *lanes, TRY).await?;
            if rate > best.0 {
                best = (rate, batch, *lanes);
            }
        }
    }
    let (_, batch, lanes) = best;
    let events_per_s = run(&store, options, batch, lanes, MEASURE).await?;
    store.close().await;
    Ok(Floor { events_per_s, setting: format!("batches of {batch} on {lanes} connections") })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is its own embedder")]
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn run(
    store: &Store,
    options: &FanOutOptions,
    batch: usize,
    lanes: usize,
    time: Duration,
) -> Result<f64, BenchError> {
    let began = Instant::now();
    let mut running = Vec::new();
    for _ in 0..lanes {
        let (store, padding) = (store.clone(), "x".repeat(options.payload_bytes.saturating_sub(32)));
        running.push(tokio::spawn(async move { lane(&store, &padding, batch, began, time).await }));
    }
    let mut events = 0;
    for lane in running {
        events += lane.await.unwrap_or(Ok(0))?;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Inserts a batch and settles it, again and again: on SQLite a batch is settled
/// in the transaction of the next, as the bus does.
async fn lane(
    store: &Store,
    padding: &str,
    batch: usize,
    began: Instant,
    time: Duration,
) -> Result<u64, BenchError> {
    let route = Arc::new(store.route_for("bench.measured").await?);
    let node = Uuid::now_v7();
    let mut settlement = Settlement::default();
    let mut events = 0;
    let mut next = make(padding, batch, &route, began)?;
    while began.elapsed() < time {
        let routed = std::mem::take(&mut next);
        let ids: Vec<Uuid> = routed.iter().map(|event| event.envelope.id).collect();
        let commit = async {
            if store.has_one_writer() {
                commit(store, node, &routed, &settlement).await
            } else {
                commit(store, node, &routed, &Settlement::default()).await?;
                let settled = Settlement { completed: ids.clone(), ..Settlement::default() };
                commit(store, node, &[], &settled).await
            }
        };
        commit.await?;
        settlement.completed = ids;
        events += batch as u64;
        next = make(padding, batch, &route, began)?;
    }
    Ok(events)
}

async fn commit(
    store: &Store,
    node: Uuid,
    events: &[Routed],
    settlement: &Settlement,
) -> Result<(), BenchError> {
    let commit =
        Commit { node, events, owned: vec![true; events.len()], spill: Spill::default(), settlement };
    match store.commit(commit).await {
        Ok(_) => Ok(()),
        Err(CommitError::Store(error)) => Err(error.into()),
        Err(CommitError::Duplicates(_)) => unreachable!("fresh ids"),
    }
}

fn make(
    padding: &str,
    batch: usize,
    route: &Arc<crate::delivery::Route>,
    began: Instant,
) -> Result<Vec<Routed>, BenchError> {
    (0..batch)
        .map(|_| {
            let event = Measured { at: nanos(began), padding: padding.to_owned() };
            let submission = Publication::new(event).seal(crate::publication::PAYLOAD_BYTES_MAX)?;
            Ok(Routed { envelope: submission.envelope, route: Arc::clone(route) })
        })
        .collect()
}

/// PostgreSQL's own counters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wal {
    bytes: f64,
    commits: i64,
    dead: i64,
    updates: i64,
    hot: i64,
}

/// The counters' rise, per event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WalUse {
    pub(super) bytes: Option<f64>,
    pub(super) commits: Option<f64>,
    pub(super) dead_tuples: Option<f64>,
    pub(super) hot_updates: Option<f64>,
}

impl Wal {
    /// Returns the rise from `before` to `after`.
    #[expect(clippy::cast_precision_loss, reason = "ratios")]
    pub(super) fn rise(before: Option<Self>, after: Option<Self>, events: u64) -> WalUse {
        let (Some(before), Some(after)) = (before, after) else {
            return WalUse::default();
        };
        let per_event = |rise: f64| Some(rise / events as f64);
        let updates = (after.updates - before.updates).max(1) as f64;
        WalUse {
            bytes: per_event(after.bytes - before.bytes),
            commits: per_event((after.commits - before.commits) as f64),
            dead_tuples: per_event((after.dead - before.dead).max(0) as f64),
            hot_updates: Some((after.hot - before.hot) as f64 / updates),
        }
    }

    pub(super) async fn read(bus: &Bus) -> Result<Option<Self>, BenchError> {
        if bus.client().database_kind() == DatabaseKind::Sqlite {
            return Ok(None);
        }
        // The counters of other sessions arrive with a delay of up to a second.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 AS bytes,
                          (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
                          s.n_dead_tup AS dead, s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot
                   FROM pg_stat_user_tables s WHERE s.relname = 'system_events'";
        let rows = bus.client().fetch_all(sql, Vec::new()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Self {
            bytes: row.get("bytes")?,
            commits: row.get("commits")?,
            dead: row.get("dead")?,
            updates: row.get("updates")?,
            hot: row.get("hot")?,
        }))
    }
}
