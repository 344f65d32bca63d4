//! What is handed to the bus to publish, and the checks it passes before it is stored.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalogue::{Catalogue, DecodeError};
use crate::envelope::{Envelope, Metadata, Payload};
use crate::event::{Event, is_event_type};

/// The deepest nesting of arrays and objects in a payload.
pub const PAYLOAD_DEPTH_MAX: usize = 64;
/// The default limit of a payload, in bytes of JSON.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// The longest ordering key and trace context, in bytes.
pub const KEY_BYTES_MAX: usize = 200;
/// The longest user agent, in bytes; longer ones are cut.
pub const USER_AGENT_BYTES_MAX: usize = 512;

/// An event together with what else is known about it.
#[derive(Debug)]
pub struct Publication<E> {
    event: E,
    id: Option<Uuid>,
    metadata: Metadata,
}

impl<E: Event> From<E> for Publication<E> {
    fn from(event: E) -> Self {
        Self::new(event)
    }
}

impl<E: Event> Publication<E> {
    /// Wraps `event`, with no metadata yet.
    pub fn new(event: E) -> Self {
        Self { event, id: None, metadata: Metadata::default() }
    }

    /// Chooses the event's id: publishing the same id twice stores the event once.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Names the user on whose behalf the event is published.
    #[must_use]
    pub fn created_by(mut self, user: Uuid) -> Self {
        self.metadata.created_by = Some(user);
        self
    }

    /// Keeps the address that the request came from.
    #[must_use]
    pub fn ip_address(mut self, address: IpAddr) -> Self {
        self.metadata.ip_address = Some(address);
        self
    }

    /// Keeps the client that the request came from, cut to [`USER_AGENT_BYTES_MAX`] bytes.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.metadata.user_agent = Some(agent.into());
        self
    }

    /// Joins the chain of events that `correlation_id` names.
    #[must_use]
    pub fn correlation_id(mut self, correlation_id: Uuid) -> Self {
        self.metadata.correlation_id = Some(correlation_id);
        self
    }

    /// Sets the ordering key, in place of [`Event::ordering_key`].
    #[must_use]
    pub fn ordering_key(mut self, key: impl Into<String>) -> Self {
        self.metadata.ordering_key = Some(key.into());
        self
    }

    /// Keeps the publisher's W3C `traceparent`.
    #[must_use]
    pub fn trace_context(mut self, traceparent: impl Into<String>) -> Self {
        self.metadata.trace_context = Some(traceparent.into());
        self
    }

    /// Makes the envelope that will be stored.
    pub(crate) fn seal(self, bytes_max: usize) -> Result<Submission, PublishError> {
        self.seal_with(bytes_max, |_| {})
    }

    /// As [`Publication::seal`]; `inherit` adds what comes from an event that is stored, and is not checked again.
    pub(crate) fn seal_with(
        self,
        bytes_max: usize,
        inherit: impl FnOnce(&mut Metadata),
    ) -> Result<Submission, PublishError> {
        let json = to_json(&self.event).map_err(PublishError::Serialize)?;
        check_payload(&json, bytes_max)?;
        let mut metadata = self.metadata;
        if metadata.ordering_key.is_none() {
            metadata.ordering_key = self.event.ordering_key();
        }
        let mut metadata = check_metadata(metadata)?;
        inherit(&mut metadata);
        let payload = Payload::from_value(json, Arc::new(self.event));
        Ok(Submission::new(self.id, E::TYPE.into(), E::SCHEMA_VERSION, metadata, payload))
    }
}

/// An event as it comes from outside: a type's name and JSON.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// The type's name; the catalogue must know it.
    pub event_type: String,
    /// The payload.
    pub payload: Value,
    /// The event's id; a new one if absent.
    pub id: Option<Uuid>,
    /// Everything else.
    pub metadata: Metadata,
}

impl RawEvent {
    /// Checks the event against `catalogue` and makes the envelope that will be stored.
    pub(crate) fn seal(self, catalogue: &Catalogue, bytes_max: usize) -> Result<Submission, PublishError> {
        if !is_event_type(&self.event_type) {
            return Err(PublishError::BadType(self.event_type));
        }
        let Some(info) = catalogue.get(&self.event_type) else {
            return Err(PublishError::UnknownType(self.event_type));
        };
        let json = self.payload.to_string();
        check_payload(&json, bytes_max)?;
        let payload = match info.check(&json) {
            Ok(value) => Payload::from_value(json.into(), value),
            Err(error) => return Err(PublishError::Payload(error)),
        };
        let metadata = check_metadata(self.metadata)?;
        Ok(Submission::new(self.id, info.event_type.into(), info.schema_version, metadata, payload))
    }
}

/// An envelope on its way to the store.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) envelope: Arc<Envelope>,
    /// The publisher chose the id, so it may have been stored before.
    pub(crate) id_given: bool,
}

impl Submission {
    fn new(
        id: Option<Uuid>,
        event_type: Cow<'static, str>,
        schema_version: u32,
        metadata: Metadata,
        payload: Payload,
    ) -> Self {
        let envelope = Envelope {
            id: id.unwrap_or_else(Uuid::now_v7),
            event_type,
            schema_version,
            created_at: OffsetDateTime::UNIX_EPOCH,
            metadata,
            payload,
        };
        Self { envelope: Arc::new(envelope), id_given: id.is_some() }
    }
}

/// An event could not be published. Nothing of it was stored, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The type's name has the wrong form.
    #[error("event type {0:?} must read module.action_past_tense, such as course.graduated")]
    BadType(String),
    /// The catalogue does not know the type.
    #[error("event type {0:?} is not in the catalogue")]
    UnknownType(String),
    /// The payload does not fit its type; the message names the field.
    #[error(transparent)]
    Payload(Arc<DecodeError>),
    /// The event's `Serialize` failed.
    #[error("event cannot be written as JSON: {0}")]
    Serialize(#[source] serde_json::Error),
    /// The payload is too large.
    #[error(
        "payload has {bytes} bytes, at most {bytes_max} are allowed; publish an id and let handlers query the rest"
    )]
    TooLarge {
        /// The payload's size.
        bytes: usize,
        /// The limit in force.
        bytes_max: usize,
    },
    /// The payload is nested too deeply.
    #[error("payload is nested more than {PAYLOAD_DEPTH_MAX} levels deep")]
    TooDeep,
    /// A string in the payload or the metadata contains NUL, which PostgreSQL cannot store.
    #[error("{0} contains a NUL character, which cannot be stored")]
    Nul(&'static str),
    /// A field of the metadata is too long.
    #[error("{field} has {bytes} bytes, at most {bytes_max} are allowed")]
    MetadataTooLong {
        /// The field.
        field: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The id is taken by an event with another type or payload.
    #[error("id {0} is taken by an event with another type or payload")]
    Conflict(Uuid),
    /// The bus is shutting down.
    #[error("the bus is shutting down; nothing was stored")]
    ShuttingDown,
    /// The store failed. If it failed while committing, the event may be
    /// stored: publish it again with the same id to be sure.
    #[error("event could not be stored: {0}")]
    Store(String),
}

/// Leaves out submissions that repeat an earlier one of the list, id and content; one that has the
/// id alone is refused, with its position.
pub(crate) fn without_repeats(
    submissions: Vec<Submission>,
) -> Result<Vec<Submission>, (usize, PublishError)> {
    if !submissions.iter().any(|submission| submission.id_given) {
        return Ok(submissions);
    }
    let mut places = HashMap::with_capacity(submissions.len());
    let mut distinct: Vec<Submission> = Vec::with_capacity(submissions.len());
    for (position, submission) in submissions.into_iter().enumerate() {
        let id = submission.envelope.id;
        match places.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(distinct.len());
                distinct.push(submission);
            }
            Entry::Occupied(entry) => {
                let (first, again) = (&distinct[*entry.get()].envelope, &submission.envelope);
                let is_same =
                    first.event_type == again.event_type && first.payload.json() == again.payload.json();
                if !is_same {
                    return Err((position, PublishError::Conflict(id)));
                }
            }
        }
    }
    Ok(distinct)
}

/// Writes a value as JSON that takes no more memory than it has bytes.
fn to_json(value: &impl Serialize) -> serde_json::Result<Box<str>> {
    thread_local! {
        /// Text that grows while it is written would be allocated several times.
        static WRITTEN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut written = WRITTEN.take();
    written.clear();
    let result = serde_json::to_writer(&mut written, value);
    let json = result.map(|()| String::from_utf8_lossy(&written).into());
    if written.capacity() <= PAYLOAD_BYTES_MAX {
        WRITTEN.set(written);
    }
    json
}

fn check_payload(json: &str, bytes_max: usize) -> Result<(), PublishError> {
    if json.len() > bytes_max {
        return Err(PublishError::TooLarge { bytes: json.len(), bytes_max });
    }
    let (mut depth, mut in_string) = (0_usize, false);
    let mut rest = json.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => {
                if after.starts_with(b"u0000") {
                    return Err(PublishError::Nul("payload"));
                }
                rest = after.get(1..).unwrap_or_default();
            }
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > PAYLOAD_DEPTH_MAX {
                    return Err(PublishError::TooDeep);
                }
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

fn check_metadata(mut metadata: Metadata) -> Result<Metadata, PublishError> {
    if let Some(agent) = &mut metadata.user_agent {
        agent.truncate(agent.floor_char_boundary(USER_AGENT_BYTES_MAX));
    }
    let limited = [
        ("ordering key", &metadata.ordering_key, KEY_BYTES_MAX),
        ("trace context", &metadata.trace_context, KEY_BYTES_MAX),
        ("user agent", &metadata.user_agent, USER_AGENT_BYTES_MAX),
    ];
    for (field, text, bytes_max) in limited {
        let Some(text) = text else { continue };
        if text.len() > bytes_max {
            return Err(PublishError::MetadataTooLong { field, bytes: text.len(), bytes_max });
        }
        if text.contains('\0') {
            return Err(PublishError::Nul(field));
        }
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::{PublishError, check_payload};

    #[test]
    fn nul_is_found_and_an_escaped_backslash_is_not_mistaken_for_it() {
        assert!(matches!(check_payload(r#"{"a":"x\u0000"}"#, 99), Err(PublishError::Nul(_))));
        assert!(check_payload(r#"{"a":"x\\u0000"}"#, 99).is_ok());
    }

    #[test]
    fn depth_counts_structure_and_not_text() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check_payload(&deep(64), 999).is_ok());
        assert!(matches!(check_payload(&deep(65), 999), Err(PublishError::TooDeep)));
        assert!(check_payload(&format!("{:?}", "[".repeat(99)), 999).is_ok());
    }

    #[test]
    fn size_is_bounded_to_the_byte() {
        assert!(check_payload("1234", 4).is_ok());
        assert!(matches!(check_payload("12345", 4), Err(PublishError::TooLarge { bytes: 5, .. })));
    }
}
