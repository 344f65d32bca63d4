//! Group commit: new events and settlements, one transaction, a fixed number of statements.

use time::OffsetDateTime;
use uuid::Uuid;

use super::connection::Connection;
use super::sql::{NativeRow, Row, Statement};
use super::{DatabaseKind, Store, StoreError, Transaction};
use crate::delivery::{NodeId, Routed, Settlement};
use crate::ledger::Admission;

#[cfg(feature = "sqlite")]
pub(super) mod command;
mod encode;
pub(super) mod spill;

pub(crate) use spill::Spill;

use encode::Encoded;

/// What is to be committed.
pub(crate) struct Commit<'a> {
    pub(crate) node: NodeId,
    pub(crate) events: &'a [Routed],
    pub(crate) owned: Vec<bool>,
    pub(crate) spill: Spill<'a>,
    pub(crate) settlement: &'a Settlement,
}

/// What a commit did.
#[derive(Debug, Clone)]
pub(crate) struct CommitDone {
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) created_at: OffsetDateTime,
    /// Events that became processed, but for the settlement's completed ones.
    pub(crate) finished: Vec<Uuid>,
}

/// An id that is stored already.
#[derive(Debug, Clone)]
pub(crate) struct Duplicate {
    pub(crate) id: Uuid,
    /// With the same type and payload.
    pub(crate) same: bool,
}

/// Nothing was committed, unless the store's error is ambiguous.
#[derive(Debug)]
pub(crate) enum CommitError {
    Duplicates(Vec<Duplicate>),
    Store(StoreError),
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Up to so many events an INSERT of SQLite returns each; of more it is cheaper to ask for the last.
const FEW: usize = 32;

macro_rules! insert_events_on_sqlite {
    () => {
        // The clock is read once: reading it for each row is a tenth of what a row costs.
        "{sqlite:WITH clock AS MATERIALIZED (SELECT {now} AS now)
      INSERT INTO system_events (created_at, id, type, payload, schema_version, route_id, owner, created_by, ip_address,
            user_agent, correlation_id, causation_id, ordering_key, trace_context)
      SELECT clock.now, unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, CASE value ->> 5 WHEN 1 THEN $2 END,
             unhex(value ->> 6), value ->> 7, value ->> 8, unhex(value ->> 9), unhex(value ->> 10), value ->> 11, value ->> 12
      FROM clock CROSS JOIN jsonb_each($1)}"
    };
}

/// SQLite: one statement, so it needs no transaction around it.
#[cfg(feature = "sqlite")]
pub(super) static INSERT_FEW: Statement =
    Statement::new(concat!(insert_events_on_sqlite!(), "{sqlite: RETURNING seq AS last_seq, created_at}"));

macro_rules! insert_events_on_postgres {
    () => {
        "{postgres:WITH new AS (
      INSERT INTO system_events (id, type, payload, schema_version, route_id, owner, created_by, ip_address,
            user_agent, correlation_id, causation_id, ordering_key, trace_context)
      SELECT id, type, payload::jsonb, version, route, CASE WHEN owned THEN $14::uuid END, created_by, ip::inet, agent,
             correlation, causation, key, trace
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bool[], $7::uuid[], $8::text[],
                  $9::text[], $10::uuid[], $11::uuid[], $12::text[], $13::text[])
           AS t (id, type, payload, version, route, owned, created_by, ip, agent, correlation, causation, key, trace)
      RETURNING id, seq, ordering_key)}"
    };
}

pub(super) static INSERT_EVENTS: Statement = Statement::new(concat!(
    insert_events_on_sqlite!(),
    insert_events_on_postgres!(),
    "{postgres: SELECT min(seq) AS first_seq, max(seq) AS last_seq, now() AS created_at FROM new}",
));

/// Events that some modules get from the store, all of them: their rows are made from what has just been inserted.
#[cfg(feature = "postgres")]
pub(super) static INSERT_EVENTS_AND_ROWS: Statement = Statement::new(concat!(
    insert_events_on_postgres!(),
    "{postgres:, spilled AS (
      INSERT INTO event_deliveries (event_id, module, state, available_at, seq, ordering_key)
      SELECT new.id, m.module, 'pending', now(), new.seq, new.ordering_key
      FROM unnest($15::text[]) AS m (module) CROSS JOIN new)
      SELECT min(seq) AS first_seq, max(seq) AS last_seq, now() AS created_at FROM new}",
));

#[cfg(feature = "sqlite")]
macro_rules! inserted_on_sqlite {
    () => {
        "SELECT last_insert_rowid() AS last_seq, created_at FROM system_events WHERE seq = last_insert_rowid()"
    };
}

#[cfg(feature = "sqlite")]
pub(super) static INSERTED: Statement = Statement::new(inserted_on_sqlite!());

macro_rules! complete {
    ($events:literal) => {
        concat!(
            "UPDATE system_events SET processed_at = {now}, owner = NULL WHERE id {in ",
            $events,
            "} AND owner = $2"
        )
    };
}

pub(super) static COMPLETE: Statement = Statement::new(complete!("$1"));

#[cfg(feature = "sqlite")]
use {complete, insert_events_on_sqlite, inserted_on_sqlite};

pub(super) static STORED: Statement = Statement::new(
    "SELECT e.id, (e.type = r.type AND e.payload = {sqlite:r.payload}{postgres:r.payload::jsonb}) AS same
     FROM {rows $1 AS r(id uuid, type text, payload text)} JOIN system_events e ON e.id = r.id",
);

impl<'a> Commit<'a> {
    pub(crate) fn new(node: NodeId, admission: Option<&'a Admission>, settlement: &'a Settlement) -> Self {
        Self {
            node,
            events: admission.map_or(&[], |admission| &admission.events),
            owned: admission.map(Admission::owned).unwrap_or_default(),
            spill: admission
                .map(|admission| Spill::new(admission.events.len(), &admission.spilled))
                .unwrap_or_default(),
            settlement,
        }
    }

    /// Returns how many statements the commit takes.
    fn statements(&self, form: Form) -> u64 {
        let settlement = self.settlement;
        let parts = [
            !self.events.is_empty(),
            !self.spill.is_empty(),
            !settlement.completed.is_empty(),
            !settlement.rows.is_empty(),
            !settlement.changes.is_empty(),
            !settlement.released.is_empty(),
        ];
        let statements = parts.iter().filter(|part| **part).count() as u64;
        if form == Form::Statement { statements } else { statements + 2 }
    }

    fn form(&self, kind: DatabaseKind) -> Form {
        let settlement = self.settlement;
        let is_plain = self.spill.is_empty() && settlement.released.is_empty();
        let is_alone = self.events.is_empty() || settlement.completed.is_empty();
        let is_short = kind == DatabaseKind::Postgres || self.events.len() <= FEW;
        if !(settlement.rows.is_empty() && settlement.changes.is_empty() && self.spill.rest.is_empty()) {
            Form::Transaction
        } else if is_plain && is_alone && is_short {
            Form::Statement
        } else if kind == DatabaseKind::Sqlite {
            Form::Command
        } else {
            Form::Transaction
        }
    }
}

/// How a commit is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One statement, which needs no BEGIN and COMMIT of its own.
    Statement,
    /// One command of several statements, BEGIN and COMMIT among them.
    Command,
    /// A transaction, statement by statement.
    Transaction,
}

impl Store {
    /// Commits everything in `commit`, or nothing of it.
    pub(crate) async fn commit(&self, commit: Commit<'_>) -> Result<CommitDone, CommitError> {
        let form = commit.form(self.database_kind());
        self.inner.live_statements.fetch_add(commit.statements(form), std::sync::atomic::Ordering::Relaxed);
        loop {
            match self.attempt(&commit, form).await {
                Ok(done) => return Ok(done),
                Err(error) if error.is_unique_violation() => {
                    let duplicates = self.duplicates(commit.events).await?;
                    if !duplicates.is_empty() {
                        return Err(CommitError::Duplicates(duplicates));
                    }
                    return Err(error.into());
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn attempt(&self, commit: &Commit<'_>, form: Form) -> Result<CommitDone, StoreError> {
        let pool = &self.inner.commits;
        // Encoded first: nobody is kept waiting for the connection meanwhile.
        let encode = || Encoded::of(commit, self.database_kind());
        match form {
            Form::Statement => {
                let encoded = encode()?;
                let written = write_events_and_completed(&mut pool.acquire().await?, commit, encoded).await;
                written.map_err(StoreError::while_committing)
            }
            #[cfg(feature = "sqlite")]
            Form::Command => command::send(pool, commit).await,
            #[cfg(not(feature = "sqlite"))]
            Form::Command => unreachable!("a form of SQLite's"),
            Form::Transaction => {
                let encoded = encode()?;
                let mut transaction = self.begin_on(pool.clone()).await?;
                let done = self.write(&mut transaction, commit, encoded).await?;
                transaction.commit().await.map(|()| done)
            }
        }
    }

    async fn write(
        &self,
        transaction: &mut Transaction,
        commit: &Commit<'_>,
        encoded: Option<Encoded>,
    ) -> Result<CommitDone, StoreError> {
        let mut done = write_events_and_completed(transaction.inner()?, commit, encoded).await?;
        commit.spill.write(transaction, commit.events).await?;
        done.finished = self.settle_rows(transaction, commit.node, commit.settlement).await?;
        Ok(done)
    }

    /// Stores events in a transaction that somebody else commits.
    pub(crate) async fn insert_events(
        &self,
        transaction: &mut Transaction,
        node: NodeId,
        admission: &Admission,
    ) -> Result<CommitDone, StoreError> {
        let settlement = Settlement::default();
        let commit = Commit::new(node, Some(admission), &settlement);
        let encoded = Encoded::of(&commit, self.database_kind())?;
        self.write(transaction, &commit, encoded).await
    }

    pub(super) async fn duplicates(&self, events: &[Routed]) -> Result<Vec<Duplicate>, StoreError> {
        let asked: serde_json::Value = events
            .iter()
            .map(|event| {
                let envelope = &event.envelope;
                serde_json::json!({
                    "id": envelope.id.simple().to_string(), "type": &*envelope.event_type, "payload": envelope.payload.json(),
                })
            })
            .collect();
        let rows = self.read().await?.fetch(&STORED, crate::args![asked]).await?;
        rows.iter().map(|row| Ok(Duplicate { id: row.get("id")?, same: row.get("same")? })).collect()
    }
}

/// The hot path: one INSERT for all events, one UPDATE for all that are done.
async fn write_events_and_completed(
    connection: &mut Connection,
    commit: &Commit<'_>,
    encoded: Option<Encoded>,
) -> Result<CommitDone, StoreError> {
    let done = match encoded {
        None => CommitDone::nothing(),
        #[cfg(feature = "sqlite")]
        Some(Encoded::Sqlite(values)) => {
            let rows = if commit.events.len() <= FEW {
                connection.fetch(&INSERT_FEW, values).await?
            } else {
                connection.execute(&INSERT_EVENTS, values).await?;
                connection.fetch(&INSERTED, Vec::new()).await?
            };
            CommitDone::read(&rows, commit.events.len())?
        }
        #[cfg(feature = "postgres")]
        Some(Encoded::Postgres(arguments)) => {
            let spills = !commit.spill.all.is_empty();
            let statement = if spills { &INSERT_EVENTS_AND_ROWS } else { &INSERT_EVENTS };
            CommitDone::read(&connection.fetch_native(statement, arguments).await?, commit.events.len())?
        }
    };
    if !commit.settlement.completed.is_empty() {
        let values = crate::args![commit.settlement.completed.clone(), commit.node];
        connection.execute(&COMPLETE, values).await?;
    }
    Ok(done)
}

impl CommitDone {
    fn nothing() -> Self {
        let created_at = OffsetDateTime::UNIX_EPOCH;
        Self { first_seq: i64::MAX, last_seq: 0, created_at, finished: Vec::new() }
    }

    /// Reads what an INSERT of `events` events says.
    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "PostgreSQL tells both ends"))]
    fn read(rows: &[Row], events: usize) -> Result<Self, StoreError> {
        let row = rows.last().ok_or(StoreError::Sql(sqlx::Error::RowNotFound))?;
        let last_seq: i64 = row.get("last_seq")?;
        let first_seq = match row {
            #[cfg(feature = "postgres")]
            Row(NativeRow::Postgres(_)) => row.get("first_seq")?,
            // One writer: the numbers of a statement follow each other.
            #[cfg(feature = "sqlite")]
            Row(NativeRow::Sqlite(_)) => last_seq + 1 - i64::try_from(events).unwrap_or(i64::MAX),
        };
        Ok(Self { first_seq, last_seq, created_at: row.get("created_at")?, finished: Vec::new() })
    }
}
