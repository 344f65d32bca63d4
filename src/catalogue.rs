//! The event types that a bus knows: how each is decoded, checked and brought up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserializer;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::envelope::{Decoded, Envelope};
use crate::event::{Event, UpcastError, assert_event_type};

/// A stored payload cannot become the typed event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The payload does not fit the type; the message names the field.
    #[error("payload does not fit {event_type}: {}{source}", .field.as_ref().map_or_else(String::new, |field| format!("{field}: ")))]
    Shape {
        /// The event's type.
        event_type: &'static str,
        /// Where in the payload, such as `lines[2].amount`; `None` if it is the payload itself.
        field: Option<String>,
        /// What serde found, with the position.
        source: serde_json::Error,
    },
    /// The payload was written by a newer build.
    #[error(
        "{event_type} is stored in version {stored}, this build reads up to {known}; deploy the newer build, then redrive"
    )]
    Newer {
        /// The event's type.
        event_type: &'static str,
        /// The version in the store.
        stored: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// The payload's upcast failed.
    #[error("{event_type} cannot be brought up from version {stored}: {source}")]
    Upcast {
        /// The event's type.
        event_type: &'static str,
        /// The version in the store.
        stored: u32,
        /// Why not.
        source: UpcastError,
    },
}

/// Two Rust types claim one event type.
#[derive(Debug, thiserror::Error)]
#[error("event type {event_type} is claimed by both {first} and {second}; rename one")]
pub struct TypeClash {
    event_type: &'static str,
    first: &'static str,
    second: &'static str,
}

/// What is known of one event type.
#[derive(Debug, Clone, Copy)]
pub struct TypeInfo {
    /// The event's type, such as `course.graduated`.
    pub event_type: &'static str,
    /// The version of the payload that this build writes.
    pub schema_version: u32,
    /// Whether a module is meant to react.
    pub expects_subscriber: bool,
    rust_type: &'static str,
    schema: Option<fn() -> Value>,
    decode: fn(&str, u32) -> Decoded,
}

impl TypeInfo {
    pub(crate) fn of<E: Event>() -> Self {
        const { assert_event_type::<E>() };
        Self {
            event_type: E::TYPE,
            schema_version: E::SCHEMA_VERSION,
            expects_subscriber: E::EXPECTS_SUBSCRIBER,
            rust_type: std::any::type_name::<E>(),
            schema: None,
            decode: decode::<E>,
        }
    }

    /// Returns the JSON Schema of the payload, if the type was added with one.
    #[must_use]
    pub fn schema(&self) -> Option<Value> {
        self.schema.map(|schema| schema())
    }

    /// Decodes the payload of `envelope`, at most once for all who ask.
    pub(crate) fn decode<'e>(&self, envelope: &'e Envelope) -> &'e Decoded {
        envelope.payload.decoded_or(|json| (self.decode)(json, envelope.schema_version))
    }

    /// Checks that `json`, written in the current version, fits the type.
    pub(crate) fn check(&self, json: &str) -> Decoded {
        self.check_stored(json, self.schema_version)
    }

    /// Checks that `json`, written in the version `stored`, can be brought up to date and fits the type.
    pub(crate) fn check_stored(&self, json: &str, stored: u32) -> Decoded {
        (self.decode)(json, stored)
    }
}

/// All event types of a bus, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    types: BTreeMap<&'static str, TypeInfo>,
}

impl Catalogue {
    /// Returns an empty catalogue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `E`, so that its payloads can be checked and decoded.
    ///
    /// # Errors
    ///
    /// Fails if another Rust type has claimed the same event type.
    pub fn add<E: Event>(&mut self) -> Result<(), TypeClash> {
        self.insert(TypeInfo::of::<E>())
    }

    /// Adds `E` with the JSON Schema of its payload, for whoever exports the catalogue.
    ///
    /// # Errors
    ///
    /// Fails if another Rust type has claimed the same event type.
    #[cfg(feature = "schema")]
    pub fn add_with_schema<E: Event + schemars::JsonSchema>(&mut self) -> Result<(), TypeClash> {
        self.insert(TypeInfo { schema: Some(schema_of::<E>), ..TypeInfo::of::<E>() })
    }

    pub(crate) fn insert(&mut self, info: TypeInfo) -> Result<(), TypeClash> {
        match self.types.get_mut(info.event_type) {
            Some(known) if known.rust_type != info.rust_type => {
                Err(TypeClash { event_type: info.event_type, first: known.rust_type, second: info.rust_type })
            }
            // Modules know their types without a schema.
            Some(known) => {
                known.schema = known.schema.or(info.schema);
                Ok(())
            }
            None => {
                self.types.insert(info.event_type, info);
                Ok(())
            }
        }
    }

    /// Returns what is known of `event_type`.
    #[must_use]
    pub fn get(&self, event_type: &str) -> Option<&TypeInfo> {
        self.types.get(event_type)
    }

    /// Iterates over the types in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &TypeInfo> {
        self.types.values()
    }
}

/// Returns the schema of what can be decoded as `E`; nothing in it refers to elsewhere, but for types that hold themselves.
#[cfg(feature = "schema")]
fn schema_of<E: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<E>().to_value()
}

fn decode<E: Event>(json: &str, stored: u32) -> Decoded {
    typed::<E>(json, stored).map(|event| Arc::new(event) as _).map_err(Arc::new)
}

/// Decodes a payload that was written in the version `stored`.
pub(crate) fn typed<E: Event>(json: &str, stored: u32) -> Result<E, DecodeError> {
    if stored == E::SCHEMA_VERSION {
        return serde_json::from_str(json)
            .map_err(|source| misfit::<E>(source, &mut serde_json::Deserializer::from_str(json)));
    }
    if stored > E::SCHEMA_VERSION {
        return Err(DecodeError::Newer { event_type: E::TYPE, stored, known: E::SCHEMA_VERSION });
    }
    let mut payload: Value = serde_json::from_str(json).map_err(|source| DecodeError::Shape {
        event_type: E::TYPE,
        field: None,
        source,
    })?;
    for version in stored..E::SCHEMA_VERSION {
        payload = E::upcast(version, payload).map_err(|source| DecodeError::Upcast {
            event_type: E::TYPE,
            stored,
            source,
        })?;
    }
    E::deserialize(&payload).map_err(|source| misfit::<E>(source, &payload))
}

/// Names the field that does not fit, by decoding once more: so only a failure pays for the name.
fn misfit<'de, E: Event>(source: serde_json::Error, payload: impl Deserializer<'de>) -> DecodeError {
    let failed = serde_path_to_error::deserialize::<_, E>(payload).err();
    let path = failed.as_ref().map(serde_path_to_error::Error::path);
    let known = path.filter(|path| path.iter().any(|segment| !matches!(segment, Segment::Unknown)));
    let field = known.map(ToString::to_string);
    DecodeError::Shape { event_type: E::TYPE, field, source }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::Value;

    use super::typed;
    use crate::event::{Event, UpcastError};

    #[derive(Debug, Serialize, Deserialize)]
    struct Line {
        amount: i64,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct OrderPlaced {
        lines: Vec<Line>,
    }

    impl Event for OrderPlaced {
        const TYPE: &'static str = "order.placed";
        const SCHEMA_VERSION: u32 = 2;

        fn upcast(_: u32, payload: Value) -> Result<Value, UpcastError> {
            Ok(payload)
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_named_in_whatever_version() {
        for stored in [1, 2] {
            let error =
                typed::<OrderPlaced>(r#"{"lines":[{"amount":1},{"amount":1.5}]}"#, stored).unwrap_err();
            let expected = "payload does not fit order.placed: lines[1].amount: invalid type: floating point `1.5`, expected i64";
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_payload_that_is_no_object_names_no_field() {
        let error = typed::<OrderPlaced>("7", 2).unwrap_err();
        assert!(error.to_string().starts_with("payload does not fit order.placed: invalid type"), "{error}");
    }
}
