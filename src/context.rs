//! What a handler knows about its delivery, and what it may do within it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::envelope::Envelope;
use crate::event::{Event, assert_event_type};
use crate::publication::{Publication, PublishError, Submission};
use crate::services::Services;
use crate::store::{DatabaseKind, Row, StoreError, Transaction, Value};

/// How long a handler's transaction may stay open on SQLite, where it holds up
/// every publisher.
pub(crate) const SQLITE_TRANSACTION_MAX: Duration = Duration::from_millis(500);

/// A handler's delivery: the event as stored, a transaction, and a way to publish.
///
/// What is written through [`Context::transaction`], what is published through
/// [`Context::publish`] and the acknowledgement commit together, or not at all.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) attempt: u32,
    pub(crate) module: &'a str,
    pub(crate) services: &'a Services,
    /// When the delivery fails by timeout at the latest, if a transaction has brought that forward.
    pub(crate) deadline: &'a Cell<Option<Instant>>,
    pub(crate) work: &'a mut Work,
}

/// What handlers did and nobody has committed yet. A delivery adds to what earlier ones left open.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) transaction: Option<Transaction>,
    pub(crate) emitted: Vec<Submission>,
    /// Whether the delivery under way has used the transaction.
    joined: bool,
    /// How many of `emitted` are of earlier deliveries.
    emitted_before: usize,
}

impl Work {
    /// Returns whether the delivery under way has used the transaction.
    pub(crate) fn is_joined(&self) -> bool {
        self.joined
    }

    /// Returns whether the delivery under way has added anything.
    #[inline]
    pub(crate) fn is_touched(&self) -> bool {
        self.joined || self.emitted.len() > self.emitted_before
    }

    /// Keeps what the delivery under way added; the next one is under way.
    pub(crate) fn keep(&mut self) {
        self.joined = false;
        self.emitted_before = self.emitted.len();
    }

    /// Undoes what the delivery under way added; a transaction that it used is rolled back
    /// by a task of the bus, before anybody else gets the connection.
    pub(crate) fn undo(&mut self) {
        if self.joined {
            self.transaction = None;
        }
        self.emitted.truncate(self.emitted_before);
        self.joined = false;
    }
}

impl Context<'_> {
    /// Returns the event with its metadata, as stored.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        self.envelope
    }

    /// Returns the number of this attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the name of the module that handles the delivery.
    #[must_use]
    pub fn module(&self) -> &str {
        self.module
    }

    /// Returns which database the bus runs on.
    #[must_use]
    pub fn database(&self) -> DatabaseKind {
        self.services.store.database_kind()
    }

    /// Runs a query that only reads, outside the delivery's transaction: for slow work that must come before it.
    ///
    /// It sees what was committed when it ran, and holds nobody up.
    ///
    /// # Errors
    ///
    /// Fails if the database refuses the statement.
    pub async fn fetch_all(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.services.store.fetch_all(sql, args).await
    }

    /// Returns the delivery's transaction, opened on first use.
    ///
    /// It commits together with the acknowledgement when the handler returns
    /// `Ok`, and is rolled back otherwise. On SQLite it must end within 500 ms,
    /// as it holds up every other writer: do slow work before opening it.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot open a transaction; with `?` the delivery is tried again.
    pub async fn transaction(&mut self) -> Result<&mut Transaction, StoreError> {
        if self.work.transaction.is_none() {
            self.work.transaction = Some(self.services.store.begin_delivery().await?);
            if self.database() == DatabaseKind::Sqlite {
                self.deadline.set(Some(Instant::now() + SQLITE_TRANSACTION_MAX));
            }
        }
        self.work.joined = true;
        match &mut self.work.transaction {
            Some(transaction) => Ok(transaction),
            None => unreachable!("opened above"),
        }
    }

    /// Publishes `event` when the delivery is acknowledged, and returns its id.
    ///
    /// The event carries this one as its cause and the chain's correlation id.
    ///
    /// # Errors
    ///
    /// Fails if the event breaks a limit of the bus.
    pub fn publish<E: Event>(&mut self, event: impl Into<Publication<E>>) -> Result<Uuid, PublishError> {
        const { assert_event_type::<E>() };
        let cause = self.envelope;
        let submission = event.into().seal_with(self.services.payload_bytes_max, |metadata| {
            metadata.causation_id = Some(cause.id);
            metadata.correlation_id.get_or_insert(cause.chain_id());
            if metadata.created_by.is_none() {
                metadata.created_by = cause.metadata.created_by;
            }
            if metadata.trace_context.is_none() {
                metadata.trace_context.clone_from(&cause.metadata.trace_context);
            }
        })?;
        let id = submission.envelope.id;
        self.work.emitted.push(submission);
        Ok(id)
    }
}
