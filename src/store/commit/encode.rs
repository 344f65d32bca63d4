//! Events as the two INSERTs take them.

use super::Commit;
use crate::delivery::payload_bytes;
use crate::store::{DatabaseKind, StoreError};

/// The values of a commit, ready to be sent.
pub(super) enum Encoded {
    /// The new events and the node.
    #[cfg(feature = "sqlite")]
    Sqlite(Vec<crate::store::Value>),
    /// The new events and the node.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgArguments),
}

impl Encoded {
    /// Returns `None` if the commit has no events.
    pub(super) fn of(commit: &Commit<'_>, kind: DatabaseKind) -> Result<Option<Self>, StoreError> {
        if commit.events.is_empty() {
            return Ok(None);
        }
        match kind {
            #[cfg(feature = "sqlite")]
            DatabaseKind::Sqlite => Ok(Some(Self::Sqlite(crate::args![json_rows(commit), commit.node]))),
            #[cfg(feature = "postgres")]
            DatabaseKind::Postgres => Ok(Some(Self::Postgres(columns(commit)?))),
            #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
            _ => Err(StoreError::Unsupported { kind: "this database", feature: "sqlite or postgres" }),
        }
    }
}

/// A JSON array of arrays, written by hand: the payload's text is most of it. What an
/// event has none of at the end of its array is left out, and reads as null.
#[cfg(feature = "sqlite")]
pub(super) fn json_rows(commit: &Commit<'_>) -> String {
    use std::fmt::Write;
    let mut text =
        String::with_capacity(payload_bytes(commit.events) * 5 / 4 + commit.events.len() * 160 + 2);
    text.push('[');
    for (index, event) in commit.events.iter().enumerate() {
        let (envelope, metadata) = (&*event.envelope, &event.envelope.metadata);
        if index > 0 {
            text.push(',');
        }
        text.push('[');
        hex(&mut text, Some(envelope.id));
        string(&mut text, Some(&envelope.event_type));
        string(&mut text, Some(envelope.payload.json()));
        let owned = i32::from(commit.owned[index]);
        // Writing to a string cannot fail.
        match event.route.stored_id() {
            Some(route) => write!(text, "{},{route},{owned},", envelope.schema_version),
            None => write!(text, "{},null,{owned},", envelope.schema_version),
        }
        .ok();
        hex(&mut text, metadata.created_by);
        string(&mut text, metadata.ip_address.map(|address| address.to_string()).as_deref());
        string(&mut text, metadata.user_agent.as_deref());
        hex(&mut text, metadata.correlation_id);
        hex(&mut text, metadata.causation_id);
        string(&mut text, metadata.ordering_key.as_deref());
        string(&mut text, metadata.trace_context.as_deref());
        let rest = text.trim_end_matches("null,").len();
        text.truncate(rest - 1);
        text.push(']');
    }
    text.push(']');
    text
}

#[cfg(feature = "sqlite")]
fn hex(text: &mut String, id: Option<uuid::Uuid>) {
    match id {
        Some(id) => {
            text.push('"');
            text.push_str(id.simple().encode_lower(&mut uuid::Uuid::encode_buffer()));
            text.push_str("\",");
        }
        None => text.push_str("null,"),
    }
}

#[cfg(feature = "sqlite")]
fn string(text: &mut String, value: Option<&str>) {
    use std::fmt::Write;
    let Some(value) = value else {
        return text.push_str("null,");
    };
    text.push('"');
    let mut plain = 0;
    for (position, byte) in value.bytes().enumerate() {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            text.push_str(&value[plain..position]);
            match byte {
                b'"' => text.push_str("\\\""),
                b'\\' => text.push_str("\\\\"),
                control => {
                    write!(text, "\\u{control:04x}").ok();
                }
            }
            plain = position + 1;
        }
    }
    text.push_str(&value[plain..]);
    text.push_str("\",");
}

/// One array a column; none for a column of nulls, which costs the server nothing.
#[cfg(feature = "postgres")]
fn columns(commit: &Commit<'_>) -> Result<sqlx::postgres::PgArguments, StoreError> {
    use sqlx::Arguments;
    let events = || commit.events.iter().map(|event| &*event.envelope);
    let metadata = || commit.events.iter().map(|event| &event.envelope.metadata);
    let mut arguments = sqlx::postgres::PgArguments::default();
    let types: usize = events().map(|event| event.event_type.len()).sum();
    // An array's element has its length before it; ids, numbers and flags take 60 bytes of an event.
    arguments.reserve(16, payload_bytes(commit.events) + types + commit.events.len() * 64);
    let mut bind = || -> Result<(), sqlx::error::BoxDynError> {
        arguments.add(events().map(|event| event.id).collect::<Vec<_>>())?;
        arguments.add(events().map(|event| &*event.event_type).collect::<Vec<_>>())?;
        arguments.add(events().map(|event| event.payload.json()).collect::<Vec<_>>())?;
        arguments.add(events().map(|event| i64::from(event.schema_version)).collect::<Vec<_>>())?;
        arguments.add(commit.events.iter().map(|event| event.route.stored_id()).collect::<Vec<_>>())?;
        arguments.add(&commit.owned)?;
        arguments.add(unless_null(metadata().map(|data| data.created_by)))?;
        arguments
            .add(unless_null(metadata().map(|data| data.ip_address.map(|address| address.to_string()))))?;
        arguments.add(unless_null(metadata().map(|data| data.user_agent.as_deref())))?;
        arguments.add(unless_null(metadata().map(|data| data.correlation_id)))?;
        arguments.add(unless_null(metadata().map(|data| data.causation_id)))?;
        arguments.add(unless_null(metadata().map(|data| data.ordering_key.as_deref())))?;
        arguments.add(unless_null(metadata().map(|data| data.trace_context.as_deref())))?;
        arguments.add(commit.node)?;
        if !commit.spill.all.is_empty() {
            arguments.add(&commit.spill.all)?;
        }
        Ok(())
    };
    bind().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

/// Collects a column, unless there is nothing in it.
#[cfg(feature = "postgres")]
fn unless_null<T>(column: impl Iterator<Item = Option<T>> + Clone) -> Option<Vec<Option<T>>> {
    column.clone().any(|value| value.is_some()).then(|| column.collect())
}
