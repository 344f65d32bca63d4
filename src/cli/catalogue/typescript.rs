//! The catalogue as a TypeScript union, for applications that publish or read events.

use std::fmt::Write;

use serde_json::Value;

use super::export::Exported;

pub(super) fn document(name: &str, types: &[Exported]) -> String {
    let mut union =
        format!("// Made by `{name} catalogue export --format typescript`.\nexport type SystemEvent =");
    if types.is_empty() {
        union.push_str(" never");
    }
    for known in types {
        let description = comment(known.description());
        let event_type = literal(&known.event_type.into());
        // Writing to a string cannot fail.
        write!(union, "\n{description}  | {{ type: {event_type}; payload: {} }}", of(&known.payload)).ok();
    }
    union.push_str(";\n");
    union
}

fn comment(description: &str) -> String {
    if description.is_empty() {
        return String::new();
    }
    let line = description.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("  /** {} */\n", line.replace("*/", "* /"))
}

/// Returns the TypeScript type of what fits `schema`.
pub(super) fn of(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return literal(value);
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return union(values.iter().map(literal));
    }
    for (keyword, joint) in [("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")] {
        if let Some(Value::Array(schemas)) = schema.get(keyword) {
            let parts: Vec<String> = schemas.iter().map(of).map(|part| in_brackets(&part, joint)).collect();
            let whole = parts.join(joint);
            return if schema.get("properties").is_some() {
                format!("{} & ({whole})", object(schema))
            } else {
                whole
            };
        }
    }
    match schema.get("type") {
        Some(Value::String(name)) => named(name, schema),
        Some(Value::Array(names)) => {
            union(names.iter().filter_map(Value::as_str).map(|name| named(name, schema)))
        }
        _ => "unknown".to_owned(),
    }
}

fn named(name: &str, schema: &Value) -> String {
    match name {
        "null" | "string" | "boolean" => name.to_owned(),
        "integer" | "number" => "number".to_owned(),
        "array" => array(schema),
        "object" => object(schema),
        _ => "unknown".to_owned(),
    }
}

fn array(schema: &Value) -> String {
    if let Some(Value::Array(items)) = schema.get("prefixItems") {
        return format!("[{}]", items.iter().map(of).collect::<Vec<_>>().join(", "));
    }
    let item = schema.get("items").map_or_else(|| "unknown".to_owned(), of);
    if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") }
}

fn object(schema: &Value) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
        return match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
            Some(values @ Value::Object(_)) => format!("Record<string, {}>", of(values)),
            _ => "Record<string, unknown>".to_owned(),
        };
    };
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|required| required == name))
    };
    let fields = properties.iter().map(|(name, schema)| {
        let mark = if required(name) { "" } else { "?" };
        format!("{}{mark}: {}", key(name), of(schema))
    });
    format!("{{ {} }}", fields.collect::<Vec<_>>().join("; "))
}

/// Joins what is not the same twice.
fn union(parts: impl Iterator<Item = String>) -> String {
    let mut different: Vec<String> = Vec::new();
    for part in parts {
        if !different.contains(&part) {
            different.push(part);
        }
    }
    different.join(" | ")
}

fn in_brackets(part: &str, joint: &str) -> String {
    if joint == " & " && part.contains(" | ") { format!("({part})") } else { part.to_owned() }
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
        }
        other => other.to_string(),
    }
}

fn key(name: &str) -> String {
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    if is_identifier { name.to_owned() } else { literal(&name.into()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{key, of};

    #[test]
    fn every_shape_has_its_type() {
        for (schema, typescript) in [
            (json!(true), "unknown"),
            (json!({}), "unknown"),
            (json!({ "type": "string", "format": "uuid" }), "string"),
            (json!({ "type": "integer", "format": "int64" }), "number"),
            (json!({ "type": ["string", "null"] }), "string | null"),
            (json!({ "type": ["integer", "number"] }), "number"),
            (json!({ "const": "it's" }), r"'it\'s'"),
            (json!({ "enum": ["info", 3, null] }), "'info' | 3 | null"),
            (json!({ "oneOf": [{ "const": "a", "description": "A." }, { "const": "b" }] }), "'a' | 'b'"),
            (
                json!({ "anyOf": [{ "type": "object", "properties": { "id": { "type": "string" } } }, { "type": "null" }] }),
                "{ id?: string } | null",
            ),
            (json!({ "type": "array", "items": { "type": "boolean" } }), "boolean[]"),
            (json!({ "type": "array", "items": { "type": ["string", "null"] } }), "(string | null)[]"),
            (
                json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "type": "number" }] }),
                "[string, number]",
            ),
            (json!({ "type": "object" }), "Record<string, unknown>"),
            (
                json!({ "type": "object", "additionalProperties": { "type": "number" } }),
                "Record<string, number>",
            ),
            (
                json!({ "type": "object", "required": ["b-c"], "properties": { "a": {}, "b-c": { "type": "null" } } }),
                "{ a?: unknown; 'b-c': null }",
            ),
        ] {
            assert_eq!(of(&schema), typescript, "{schema}");
        }
    }

    #[test]
    fn a_key_that_is_no_identifier_is_quoted() {
        assert_eq!(
            (key("finalScore"), key("2nd"), key("$ref")),
            ("finalScore".into(), "'2nd'".into(), "$ref".into())
        );
    }
}
