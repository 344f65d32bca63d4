//! `catalogue export`: every event type in one document, the same each time.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{asyncapi, markdown, typescript};
use crate::cli::{CliError, Session};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The form of the document
    #[arg(long, value_enum)]
    format: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// A JSON Schema (draft 2020-12) of every event as it is published
    JsonSchema,
    /// An `AsyncAPI` 3 document, with who receives what
    Asyncapi,
    /// A TypeScript union of all events
    Typescript,
    /// A page for people
    Markdown,
}

/// An event type as exports show it.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) event_type: &'static str,
    pub(super) schema_version: u32,
    /// The JSON Schema of the payload; `true` if the build knows none.
    pub(super) payload: Value,
    pub(super) example: Option<Value>,
    /// The modules of this build that subscribe.
    pub(super) subscribers: Vec<String>,
}

impl Exported {
    /// Returns what the type's author says of it.
    pub(super) fn description(&self) -> &str {
        text(&self.payload, "description")
    }
}

/// The exported document: a JSON Schema that any event of the catalogue fits.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(rename = "$schema")]
    schema: String,
    title: String,
    description: String,
    #[serde(rename = "oneOf")]
    one_of: Vec<Value>,
    /// By event type.
    #[serde(rename = "$defs")]
    pub(super) types: BTreeMap<String, EventSchema>,
}

/// One event type in the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EventSchema {
    #[serde(rename = "x-schema-version")]
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(rename = "type")]
    kind: String,
    required: Vec<String>,
    pub(super) properties: EventProperties,
    /// Whole events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) examples: Vec<Value>,
}

/// What every event has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EventProperties {
    #[serde(rename = "type")]
    event_type: Value,
    pub(super) payload: Value,
}

pub(super) fn run(session: &Session, args: &ExportArgs) -> Result<(), CliError> {
    let types = exported(session)?;
    let unknown: Vec<&str> =
        types.iter().filter(|known| known.payload == true).map(|known| known.event_type).collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        session.output().note(&format!(
            "any payload is allowed for {names}: add them to the catalogue with `Catalogue::add_with_schema`"
        ));
    }
    let parts = session.parts();
    let text = match args.format {
        Form::JsonSchema => pretty(&document(parts.name, &types))?,
        Form::Asyncapi => pretty(&asyncapi::document(parts.name, parts.version, &types))?,
        Form::Typescript => typescript::document(parts.name, &types),
        Form::Markdown => markdown::document(parts.name, &types)?,
    };
    session.output().text(|out| writeln!(out, "{}", text.trim_end()))
}

/// Returns every type of this build, in the order of their names.
pub(super) fn exported(session: &Session) -> Result<Vec<Exported>, CliError> {
    let builder = session.bus()?;
    let mut subscribers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (module, event_type) in builder.subscriptions() {
        subscribers.entry(event_type).or_default().push(module.to_owned());
    }
    let catalogue = session.catalogue()?;
    let exported = catalogue.iter().map(|info| {
        let mut subscribers = subscribers.remove(info.event_type).unwrap_or_default();
        subscribers.sort_unstable();
        Exported {
            event_type: info.event_type,
            schema_version: info.schema_version,
            payload: info.schema().unwrap_or(Value::Bool(true)),
            example: session.parts().examples.get(info.event_type).cloned(),
            subscribers,
        }
    });
    Ok(exported.collect())
}

/// Returns the JSON Schema of all events.
pub(super) fn document(name: &str, types: &[Exported]) -> Document {
    let event = |known: &Exported| EventSchema {
        schema_version: known.schema_version,
        description: known.description().to_owned(),
        kind: "object".to_owned(),
        required: vec!["type".to_owned(), "payload".to_owned()],
        properties: EventProperties {
            event_type: json!({ "const": known.event_type }),
            payload: known.payload.clone(),
        },
        examples: known
            .example
            .iter()
            .map(|payload| json!({ "type": known.event_type, "payload": payload }))
            .collect(),
    };
    Document {
        schema: "https://json-schema.org/draft/2020-12/schema".to_owned(),
        title: format!("Events of {name}"),
        description: format!("An event as `{name} publish --file` takes it."),
        one_of: types
            .iter()
            .map(|known| json!({ "$ref": format!("#/$defs/{}", known.event_type) }))
            .collect(),
        types: types.iter().map(|known| (known.event_type.to_owned(), event(known))).collect(),
    }
}

fn pretty(document: &impl Serialize) -> Result<String, CliError> {
    serde_json::to_string_pretty(document)
        .map_err(|error| CliError::Failed(format!("the catalogue cannot be written as JSON: {error}")))
}

/// Returns the text of a keyword; nothing if it has none.
pub(super) fn text<'a>(schema: &'a Value, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}
