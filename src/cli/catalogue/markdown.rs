//! The catalogue as a page for people.

use std::fmt::Write;

use serde_json::Value;

use super::export::{Exported, text};
use super::typescript;
use crate::cli::CliError;

pub(super) fn document(name: &str, types: &[Exported]) -> Result<String, CliError> {
    let mut page = format!("# Events of {name}\n\nMade by `{name} catalogue export --format markdown`.\n");
    for known in types {
        section(&mut page, known).map_err(|error| CliError::Failed(error.to_string()))?;
    }
    Ok(page)
}

fn section(page: &mut String, known: &Exported) -> std::fmt::Result {
    writeln!(page, "\n## {}\n", known.event_type)?;
    if !known.description().is_empty() {
        writeln!(page, "{}\n", known.description())?;
    }
    let heard = if known.subscribers.is_empty() { "nobody".to_owned() } else { known.subscribers.join(", ") };
    writeln!(page, "Schema version {}. Received by: {heard}.", known.schema_version)?;
    if let Some(properties) = known.payload.get("properties").and_then(Value::as_object) {
        writeln!(page, "\n| field | type | |\n| --- | --- | --- |")?;
        let required = known.payload.get("required").and_then(Value::as_array);
        for (name, schema) in properties {
            let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
            let optional = if is_required { "" } else { " (optional)" };
            let (kind, description) = (cell(&kind(schema)), cell(text(schema, "description")));
            writeln!(page, "| `{name}`{optional} | {kind} | {description} |")?;
        }
    }
    if let Some(example) = &known.example {
        writeln!(page, "\n```json\n{example:#}\n```")?;
    }
    Ok(())
}

/// Returns the type with its format, such as `string (uuid)`.
fn kind(schema: &Value) -> String {
    let name = typescript::of(schema);
    match text(schema, "format") {
        "" => name,
        format => format!("{name} ({format})"),
    }
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
