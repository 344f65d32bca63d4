//! An event as it is stored and delivered: the payload and what is known about it.

use std::any::Any;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalogue::DecodeError;

/// An event with its metadata, as stored. Shared by all modules that it goes to.
#[derive(Debug)]
pub struct Envelope {
    /// The event's identity: a version 7 UUID unless the publisher chose one.
    pub id: Uuid,
    /// The event's type, such as `course.graduated`.
    pub event_type: Cow<'static, str>,
    /// The version of the payload's shape, as it was stored.
    pub schema_version: u32,
    /// When the store committed it, by the database's clock.
    pub created_at: OffsetDateTime,
    /// Who published it, from where, and because of what.
    pub metadata: Metadata,
    /// The payload: its JSON, and the typed value once somebody needed it.
    pub payload: Payload,
}

/// What is known about an event besides its payload. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The user on whose behalf the event was published.
    pub created_by: Option<Uuid>,
    /// The address that the request came from.
    pub ip_address: Option<IpAddr>,
    /// The client that the request came from, 512 bytes at most.
    pub user_agent: Option<String>,
    /// The event that started the chain; `None` on an event that starts one itself.
    pub correlation_id: Option<Uuid>,
    /// The event whose handler published this one.
    pub causation_id: Option<Uuid>,
    /// Events with the same key reach an ordered module in publish order; 200 bytes at most.
    pub ordering_key: Option<String>,
    /// The W3C `traceparent` of the publisher, 200 bytes at most.
    pub trace_context: Option<String>,
}

impl Envelope {
    /// Returns the correlation id that events caused by this one carry.
    #[must_use]
    pub fn chain_id(&self) -> Uuid {
        self.metadata.correlation_id.unwrap_or(self.id)
    }
}

/// The typed value of a payload.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// The typed value of a payload, or why there is none. Decoded once for all modules.
pub(crate) type Decoded = Result<Value, Arc<DecodeError>>;

/// An event's JSON and, once decoded, its typed value.
#[derive(Debug)]
pub struct Payload {
    json: Box<str>,
    decoded: OnceLock<Decoded>,
}

impl Payload {
    /// Wraps JSON text that came from a store or from outside.
    #[must_use]
    pub fn from_json(json: impl Into<Box<str>>) -> Self {
        Self { json: json.into(), decoded: OnceLock::new() }
    }

    /// Wraps a value of this process together with its JSON: it is never decoded.
    pub(crate) fn from_value(json: Box<str>, value: Value) -> Self {
        Self { json, decoded: OnceLock::from(Ok(value)) }
    }

    /// Returns the payload's JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns the typed value, shared, if it has been decoded as an `E`.
    pub(crate) fn shared<E: Send + Sync + 'static>(&self) -> Option<Arc<E>> {
        Arc::clone(self.value()?).downcast::<E>().ok()
    }

    /// Returns the typed value, if it has been decoded.
    pub(crate) fn value(&self) -> Option<&Value> {
        self.decoded.get()?.as_ref().ok()
    }

    pub(crate) fn decoded_or(&self, decode: impl FnOnce(&str) -> Decoded) -> &Decoded {
        self.decoded.get_or_init(|| decode(&self.json))
    }
}
