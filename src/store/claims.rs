//! Claims: rows that are due, taken by one node at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::sql::{Row, Statement, Value};
use super::{Store, StoreError, Transaction};
use crate::delivery::{ADOPTIONS_BEFORE_ALONE, ClaimRequest, Claimed, KeyOrder, NodeId};
use crate::envelope::{Envelope, Metadata, Payload};
use crate::ledger::HeldKeys;

/// Rows that one look of an ordered claim goes through at most.
const WINDOW_MAX: u32 = 4_096;
/// Keys with rows that a short claim of an ordered module counts.
const KEYS_MAX: usize = 10_000;

/// What a claim brought.
#[derive(Debug, Default)]
pub(crate) struct ClaimBatch {
    /// In the order of the log.
    pub(crate) rows: Vec<Claimed>,
    pub(crate) held: HeldKeys,
}

/// A claim failed.
#[derive(Debug)]
pub(crate) struct ClaimError {
    pub(crate) error: StoreError,
    /// Events whose rows it may have taken nevertheless, as the answer to its commit got lost.
    pub(crate) doubtful: Vec<Uuid>,
}

impl<E: Into<StoreError>> From<E> for ClaimError {
    fn from(error: E) -> Self {
        Self { error: error.into(), doubtful: Vec::new() }
    }
}

/// What there is to do.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    /// Events from outside wait for their route.
    pub(crate) unrouted: bool,
    /// Modules with pending rows that nobody holds, and how long until the first is due.
    pub(crate) due: Vec<(Arc<str>, Duration)>,
    /// Modules with a row that is to be delivered alone.
    pub(crate) alone: Vec<Arc<str>>,
    pub(crate) paused: Vec<Arc<str>>,
    /// The newest route.
    pub(crate) routes_version: i64,
}

/// The columns of an envelope.
macro_rules! envelope_columns {
    () => {
        "e.id, e.type, {sqlite:e.payload}{postgres:e.payload::text} AS payload, e.schema_version, e.created_at, \
         e.created_by, {sqlite:e.ip_address}{postgres:host(e.ip_address)} AS ip_address, e.user_agent, \
         e.correlation_id, e.causation_id, e.ordering_key, e.trace_context"
    };
}

pub(super) static DUE: Statement = Statement::new(concat!(
    "SELECT d.attempts, d.seq, d.available_at, ",
    envelope_columns!(),
    "
     FROM event_deliveries d JOIN system_events e ON e.id = d.event_id
     WHERE d.module = $1 AND d.state = 'pending' AND d.owner IS NULL AND d.available_at <= {now}
       AND (e.adoptions >= $3) = $4
       AND NOT e.type {inT $5}
       AND ($6 IS NULL OR e.type = $6)
     ORDER BY d.available_at, d.seq LIMIT $2 {postgres:FOR UPDATE OF d SKIP LOCKED}"
));

/// Rows in the order of the log: a window of `$2` of those that are due, none of the keys in `$10`.
///
/// For each key of the window the first row is sought that holds it: one that somebody has, that waits for its time,
/// that is not wanted now, or that is dead if dead ones hold; and the first that is due behind the window. Whether
/// earlier rows of this window, or of those before, are taken is not known here: [`PassedOver`] knows.
///
/// `state IN ('pending', 'dead')` beside a narrower state is what a partial index says of itself: without
/// these words it is not used.
pub(super) static DUE_IN_ORDER: Statement = Statement::new(concat!(
    "WITH due AS MATERIALIZED (
         SELECT event_id, attempts, seq, available_at, ordering_key FROM event_deliveries
         WHERE module = $1 AND state = 'pending' AND owner IS NULL AND available_at <= {now}
           AND (available_at, seq) > ($7, $8) AND (ordering_key IS NULL OR NOT ordering_key {inT $10})
         ORDER BY available_at, seq LIMIT $2
     ), ends AS MATERIALIZED (
         SELECT available_at, seq FROM due ORDER BY available_at DESC, seq DESC LIMIT 1
     ), keys AS MATERIALIZED (
         SELECT k.ordering_key, (
             SELECT p.seq FROM event_deliveries p
             WHERE p.module = $1 AND p.ordering_key = k.ordering_key AND p.seq < k.last_seq
               AND p.state IN ('pending', 'dead')
               AND ((p.state = 'dead' AND $9 = 2)
                    OR (p.state = 'pending' AND (p.owner IS NOT NULL OR p.available_at > {now}
                        OR EXISTS (SELECT 1 FROM system_events x WHERE x.id = p.event_id
                                   AND ((x.adoptions >= $3) <> $4 OR x.type {inT $5} OR ($6 IS NOT NULL AND x.type <> $6))))))
             ORDER BY p.seq LIMIT 1) AS held_by, (
             SELECT p.seq FROM event_deliveries p
             WHERE p.module = $1 AND p.ordering_key = k.ordering_key AND p.seq < k.last_seq
               AND p.state IN ('pending', 'dead') AND p.state = 'pending'
               AND (p.available_at, p.seq) > (k.ends_at, k.ends_seq)
             ORDER BY p.seq LIMIT 1) AS behind
         FROM (SELECT due.ordering_key, max(due.seq) AS last_seq, ends.available_at AS ends_at, ends.seq AS ends_seq
               FROM due CROSS JOIN ends WHERE due.ordering_key IS NOT NULL
               GROUP BY due.ordering_key, ends.available_at, ends.seq) k
     )
     SELECT d.attempts, d.seq, d.available_at, COALESCE(keys.held_by < d.seq, FALSE) AS is_held,
            (COALESCE(keys.held_by > d.seq, TRUE) AND COALESCE(keys.behind > d.seq, TRUE)
             AND (e.adoptions >= $3) = $4 AND NOT e.type {inT $5} AND ($6 IS NULL OR e.type = $6)) AS is_free, ",
    envelope_columns!(), "
     FROM due d JOIN system_events e ON e.id = d.event_id LEFT JOIN keys ON keys.ordering_key = d.ordering_key
     ORDER BY d.seq"
));

pub(super) static TAKE: Statement = Statement::new(
    "UPDATE event_deliveries SET owner = $3, attempts = attempts + 1
     WHERE module = $1 AND event_id {in $2} AND owner IS NULL AND state = 'pending'
     RETURNING event_id, attempts",
);

/// Undoes a claim. Rows of others are touched, not changed: so this waits for a commit that is still under way.
pub(super) static GIVE_BACK: Statement = Statement::new(
    "UPDATE event_deliveries SET attempts = attempts - CASE WHEN owner = $3 THEN 1 ELSE 0 END,
            owner = CASE WHEN owner = $3 THEN NULL ELSE owner END
     WHERE module = $1 AND event_id {in $2} AND state = 'pending'",
);

pub(super) static HELD_KEYS: Statement = Statement::new(
    "SELECT ordering_key, count(*) AS pending FROM event_deliveries
     WHERE module = $1 AND ordering_key IS NOT NULL AND state IN ('pending', 'dead') AND (state = 'pending' OR $2 = 2)
     GROUP BY ordering_key LIMIT $3",
);

pub(super) static POLL: Statement = Statement::new(
    "SELECT m.name, m.paused_at IS NOT NULL AS paused,
            (SELECT {us d.available_at - {now}} FROM event_deliveries d
             WHERE d.module = m.name AND d.state = 'pending' AND d.owner IS NULL
             ORDER BY d.available_at, d.seq LIMIT 1) AS due_in,
            EXISTS (SELECT 1 FROM system_events WHERE route_id IS NULL) AS unrouted,
            (SELECT COALESCE(max(id), 0) FROM event_routes) AS routes_version
     FROM modules m WHERE m.name {inT $1}",
);

/// Events that were adopted too often are rare, and have an index of their own: what is due may be a million rows.
/// The number is [`ADOPTIONS_BEFORE_ALONE`], written out as the index's own.
pub(super) static ALONE: Statement = Statement::new(
    "WITH few AS MATERIALIZED (
         SELECT id FROM system_events {sqlite:INDEXED BY system_events_alone} WHERE adoptions >= 3)
     SELECT DISTINCT d.module FROM few CROSS JOIN event_deliveries d
     WHERE d.event_id = few.id AND d.module {inT $1} AND d.state = 'pending' AND d.owner IS NULL AND d.available_at <= {now}",
);

const _: () = assert!(ADOPTIONS_BEFORE_ALONE == 3, "the statement above and the index say 3");

impl Store {
    /// Claims rows of one module.
    pub(crate) async fn claim(&self, node: NodeId, request: &ClaimRequest) -> Result<ClaimBatch, ClaimError> {
        let mut transaction = self.begin_write().await?;
        let due = if request.order == KeyOrder::Unordered {
            transaction.query(&DUE, filter(request, request.limit)).await?
        } else {
            due_in_order(&mut transaction, request).await?
        };
        let mut batch = ClaimBatch::default();
        if !due.is_empty() {
            batch.rows = take(&mut transaction, node, request, &due).await?;
        }
        let short = batch.rows.len() < request.limit as usize;
        if short && request.order != KeyOrder::Unordered && request.probe.is_none() && !request.alone {
            batch.held = held_keys(&mut transaction, request).await?;
        }
        match transaction.commit().await {
            Ok(()) => Ok(batch),
            Err(error) if error.is_ambiguous() => {
                Err(ClaimError { error, doubtful: batch.rows.iter().map(|row| row.envelope.id).collect() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back what a claim of `node` may have taken. Nobody may hold any of it in memory.
    pub(crate) async fn give_back(
        &self,
        node: NodeId,
        module: &str,
        events: &[Uuid],
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        transaction.run(&GIVE_BACK, crate::args![module, events.to_vec(), node]).await?;
        transaction.commit().await
    }

    /// Looks what there is to do for the modules of this node.
    pub(crate) async fn poll(&self, modules: &[Arc<str>]) -> Result<Poll, StoreError> {
        let names: Vec<String> = modules.iter().map(ToString::to_string).collect();
        let mut connection = self.read().await?;
        let mut poll = Poll::default();
        for row in connection.fetch(&POLL, crate::args![names.clone()]).await? {
            let name: Arc<str> = row.get::<String>("name")?.into();
            poll.unrouted = row.get("unrouted")?;
            poll.routes_version = row.get("routes_version")?;
            if row.get("paused")? {
                poll.paused.push(Arc::clone(&name));
            }
            if let Some(due_in) = row.get::<Option<i64>>("due_in")? {
                poll.due.push((name, Duration::from_micros(u64::try_from(due_in).unwrap_or(0))));
            }
        }
        if !poll.due.is_empty() {
            let rows = connection.fetch(&ALONE, crate::args![names]).await?;
            for row in rows {
                poll.alone.push(row.get::<String>("module")?.into());
            }
        }
        Ok(poll)
    }
}

fn filter(request: &ClaimRequest, limit: u32) -> Vec<Value> {
    let except: Vec<String> = match request.probe {
        Some(_) => Vec::new(),
        None => request.except_types.iter().map(ToString::to_string).collect(),
    };
    let probe = request.probe.as_ref().map(ToString::to_string);
    crate::args![&request.module, limit, ADOPTIONS_BEFORE_ALONE, request.alone, except, probe]
}

/// The first row of each key that a claim could not take, by its place in the log.
#[derive(Default)]
struct PassedOver(HashMap<String, i64>);

impl PassedOver {
    /// Returns whether `row` is free and overtakes no row of its key that stays behind.
    fn lets_through(&mut self, row: &Row) -> Result<bool, StoreError> {
        let is_free: bool = row.get("is_free")?;
        let Some(key) = row.get::<Option<String>>("ordering_key")? else { return Ok(is_free) };
        let seq: i64 = row.get("seq")?;
        let lets_through = is_free && self.0.get(&key).is_none_or(|first| seq < *first);
        if !lets_through {
            let first = self.0.entry(key).or_insert(seq);
            *first = seq.min(*first);
        }
        Ok(lets_through)
    }
}

/// Goes through the rows that are due, window by window, until enough are free to be taken.
async fn due_in_order(transaction: &mut Transaction, request: &ClaimRequest) -> Result<Vec<Row>, StoreError> {
    let holds_dead = if request.order == KeyOrder::OrderedHoldingDead { 2_i64 } else { 1 };
    let (mut after, mut after_seq) = (OffsetDateTime::UNIX_EPOCH, 0_i64);
    let (mut free, mut passed_over) = (Vec::new(), PassedOver::default());
    let (mut window, mut held_keys) = (request.limit, BTreeSet::new());
    loop {
        let mut values = filter(request, window);
        let passed: Vec<String> = held_keys.iter().cloned().collect();
        values.extend(crate::args![after, after_seq, holds_dead, passed]);
        let rows = transaction.query(&DUE_IN_ORDER, values).await?;
        let is_last = rows.len() < window as usize;
        for row in rows {
            (after, after_seq) = (row.get("available_at")?, row.get("seq")?).max((after, after_seq));
            if row.get("is_held")? {
                held_keys.extend(row.get::<Option<String>>("ordering_key")?);
            }
            if free.len() < request.limit as usize && passed_over.lets_through(&row)? {
                free.push(row);
            }
        }
        if is_last || free.len() >= request.limit as usize {
            return Ok(free);
        }
        // Many that are not free stand in front: look further at once, past all of the keys that are held.
        window = WINDOW_MAX;
    }
}

async fn take(
    transaction: &mut Transaction,
    node: NodeId,
    request: &ClaimRequest,
    due: &[Row],
) -> Result<Vec<Claimed>, StoreError> {
    let ids: Vec<Uuid> = due.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    let taken = transaction.query(&TAKE, crate::args![&request.module, ids, node]).await?;
    let mut attempts = HashMap::with_capacity(taken.len());
    for row in taken {
        attempts.insert(row.get::<Uuid>("event_id")?, row.get::<i64>("attempts")?);
    }
    let mut rows = Vec::with_capacity(attempts.len());
    for row in due {
        let envelope = envelope(row)?;
        if let Some(attempt) = attempts.get(&envelope.id) {
            let claimed = Claimed {
                envelope: Arc::new(envelope),
                attempt: u32::try_from(*attempt).unwrap_or(u32::MAX),
            };
            rows.push((row.get::<i64>("seq")?, claimed));
        }
    }
    rows.sort_by_key(|(seq, _)| *seq);
    Ok(rows.into_iter().map(|(_, claimed)| claimed).collect())
}

async fn held_keys(transaction: &mut Transaction, request: &ClaimRequest) -> Result<HeldKeys, StoreError> {
    let holds_dead = if request.order == KeyOrder::OrderedHoldingDead { 2_i64 } else { 1 };
    let limit = i64::try_from(KEYS_MAX + 1).unwrap_or(i64::MAX);
    let rows = transaction.query(&HELD_KEYS, crate::args![&request.module, holds_dead, limit]).await?;
    let mut held = HeldKeys { too_many: rows.len() > KEYS_MAX, ..HeldKeys::default() };
    for row in rows {
        let pending = u32::try_from(row.get::<i64>("pending")?).unwrap_or(u32::MAX);
        held.counts.push((row.get("ordering_key")?, pending));
    }
    Ok(held)
}

/// Reads an envelope from a row with its columns.
pub(super) fn envelope(row: &Row) -> Result<Envelope, StoreError> {
    let address: Option<String> = row.get("ip_address")?;
    Ok(Envelope {
        id: row.get("id")?,
        event_type: row.get::<String>("type")?.into(),
        schema_version: u32::try_from(row.get::<i64>("schema_version")?).unwrap_or(u32::MAX),
        created_at: row.get("created_at")?,
        metadata: Metadata {
            created_by: row.get("created_by")?,
            ip_address: address.and_then(|address| address.parse().ok()),
            user_agent: row.get("user_agent")?,
            correlation_id: row.get("correlation_id")?,
            causation_id: row.get("causation_id")?,
            ordering_key: row.get("ordering_key")?,
            trace_context: row.get("trace_context")?,
        },
        payload: Payload::from_json(row.get::<String>("payload")?),
    })
}
