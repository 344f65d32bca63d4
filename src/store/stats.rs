//! How much happened, how much of it failed, and how long it took.

use time::OffsetDateTime;

use super::sql::{Row, Statement};
use super::{Store, StoreError};
use crate::audit::{Latency, ModuleStats, Stats, TypeStats};

/// Percentiles by nearest rank: the first of `n` places that is not below the share.
macro_rules! percentiles {
    () => {
        "MIN(CASE WHEN t.place >= t.n * 0.50 THEN t.took END) AS p50_us,
         MIN(CASE WHEN t.place >= t.n * 0.95 THEN t.took END) AS p95_us,
         MIN(CASE WHEN t.place >= t.n * 0.99 THEN t.took END) AS p99_us"
    };
}

pub(super) static TYPES: Statement = Statement::new(concat!(
    "WITH t AS (
         SELECT type, took, ROW_NUMBER() OVER (PARTITION BY type ORDER BY took) AS place, COUNT(*) OVER (PARTITION BY type) AS n
         FROM (SELECT type, {us processed_at - created_at} AS took FROM system_events
               WHERE created_at >= $1 AND processed_at IS NOT NULL) AS done)
     SELECT c.type, c.events, c.processed, c.failed, ",
    percentiles!(),
    " FROM (SELECT type, COUNT(*) AS events, COUNT(processed_at) AS processed, COUNT(error) AS failed
            FROM system_events WHERE created_at >= $1 GROUP BY type) AS c
     LEFT JOIN t ON t.type = c.type GROUP BY c.type, c.events, c.processed, c.failed"
));

pub(super) static MODULES: Statement = Statement::new(concat!(
    "WITH d AS (SELECT module, state, attempts, {us updated_at - created_at} AS took FROM deliveries WHERE created_at >= $1),
     t AS (
         SELECT module, took, ROW_NUMBER() OVER (PARTITION BY module ORDER BY took) AS place,
                COUNT(*) OVER (PARTITION BY module) AS n
         FROM d WHERE state = 'acked')
     SELECT c.module, c.deliveries, c.acked, c.retrying, c.dead, ",
    percentiles!(),
    " FROM (SELECT module, COUNT(*) AS deliveries, COUNT(CASE WHEN state = 'acked' THEN 1 END) AS acked,
                   COUNT(CASE WHEN state = 'pending' AND attempts > 0 THEN 1 END) AS retrying,
                   COUNT(CASE WHEN state = 'dead' THEN 1 END) AS dead
            FROM d GROUP BY module) AS c
     LEFT JOIN t ON t.module = c.module GROUP BY c.module, c.deliveries, c.acked, c.retrying, c.dead"
));

impl Store {
    /// Returns what happened to events stored since `since`.
    pub(crate) async fn stats(&self, since: OffsetDateTime) -> Result<Stats, StoreError> {
        let mut connection = self.read().await?;
        let types = connection.fetch(&TYPES, crate::args![since]).await?;
        let modules = connection.fetch(&MODULES, crate::args![since]).await?;
        let mut types = types.iter().map(of_type).collect::<Result<Vec<_>, _>>()?;
        let mut modules = modules.iter().map(of_module).collect::<Result<Vec<_>, _>>()?;
        types.sort_by(|a, b| worse(a.failure_rate, a.latency, b.failure_rate, b.latency));
        modules.sort_by(|a, b| worse(a.failure_rate, a.latency, b.failure_rate, b.latency));
        Ok(Stats { types, modules })
    }
}

fn worse(a_rate: f64, a: Latency, b_rate: f64, b: Latency) -> std::cmp::Ordering {
    b_rate.total_cmp(&a_rate).then(b.p99_us.cmp(&a.p99_us))
}

fn of_type(row: &Row) -> Result<TypeStats, StoreError> {
    let (events, failed) = (row.get("events")?, row.get("failed")?);
    Ok(TypeStats {
        event_type: row.get("type")?,
        events,
        processed: row.get("processed")?,
        failed,
        failure_rate: share(failed, events),
        latency: latency(row)?,
    })
}

fn of_module(row: &Row) -> Result<ModuleStats, StoreError> {
    let (deliveries, retrying, dead) = (row.get("deliveries")?, row.get("retrying")?, row.get("dead")?);
    Ok(ModuleStats {
        module: row.get("module")?,
        deliveries,
        acked: row.get("acked")?,
        retrying,
        dead,
        failure_rate: share(retrying + dead, deliveries),
        latency: latency(row)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn latency(row: &Row) -> Result<Latency, StoreError> {
    Ok(Latency { p50_us: row.get("p50_us")?, p95_us: row.get("p95_us")?, p99_us: row.get("p99_us")? })
}
