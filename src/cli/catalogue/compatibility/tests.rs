//! Which changes of a payload stored events survive, one by one.

use serde_json::{Value, json};

use super::breaks;

fn object(required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

#[test]
fn whatever_takes_more_than_before_breaks_nothing() {
    let (text, id) = (json!({ "type": "string" }), json!({ "type": "string", "format": "uuid" }));
    for (old, new) in [
        (text.clone(), text.clone()),
        (text.clone(), json!({ "type": "string", "description": "other words", "x-note": 1 })),
        (text.clone(), json!(true)),
        (id.clone(), text.clone()),
        (text.clone(), json!({ "type": ["string", "null"] })),
        (text.clone(), json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] })),
        (
            json!({ "type": ["string", "null"] }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
        ),
        (json!({ "type": "integer", "format": "int32" }), json!({ "type": "integer", "format": "int64" })),
        (
            json!({ "type": "integer", "format": "uint8", "minimum": 0 }),
            json!({ "type": "integer", "format": "int16" }),
        ),
        (json!({ "type": "integer", "format": "int64" }), json!({ "type": "number", "format": "double" })),
        (json!({ "type": "number", "format": "float" }), json!({ "type": "number", "format": "double" })),
        (json!({ "type": "string", "maxLength": 5 }), json!({ "type": "string", "maxLength": 9 })),
        (json!({ "enum": ["a", "b"] }), json!({ "enum": ["c", "b", "a"] })),
        (
            json!({ "enum": ["a", "b"] }),
            json!({ "oneOf": [{ "const": "a" }, { "const": "b", "description": "B." }] }),
        ),
        (json!({ "enum": ["a", "b"] }), text.clone()),
        (object(&["a"], &json!({ "a": text })), object(&[], &json!({ "a": text, "b": id }))),
        // Serde ignores what a type does not name.
        (object(&["a"], &json!({ "a": text, "b": id })), object(&["a"], &json!({ "a": text }))),
        (
            json!({ "type": "object", "additionalProperties": id }),
            json!({ "type": "object", "additionalProperties": text }),
        ),
        (json!({ "type": "array", "items": id }), json!({ "type": "array", "items": text })),
        (json!({ "$ref": "#" }), json!({ "$ref": "#", "description": "itself" })),
    ] {
        assert_eq!(breaks(&old, &new), [], "{old} -> {new}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a case a row")]
fn whatever_takes_less_than_before_is_found_where_it_is() {
    let (text, id) = (json!({ "type": "string" }), json!({ "type": "string", "format": "uuid" }));
    let tagged = |extra: &[&str]| {
        json!({ "oneOf": [
            object(&["kind"], &json!({ "kind": { "const": "mail" }, "to": { "type": "string" } })),
            object(&[&["kind"], extra].concat(), &json!({ "kind": { "const": "hook" }, "url": { "type": "string" } })),
        ] })
    };
    for (old, new, path, problem) in [
        (text.clone(), json!({ "type": "integer" }), "payload", "was string, is integer now"),
        (text.clone(), id.clone(), "payload", r#"format is "uuid" now"#),
        (json!(true), text.clone(), "payload", "was any value, is string now"),
        (json!({ "type": "number" }), json!({ "type": "integer" }), "payload", "was number, is integer now"),
        (json!({ "type": ["string", "null"] }), text.clone(), "payload", "was null, is string now"),
        (
            json!({ "type": "integer", "format": "int64" }),
            json!({ "type": "integer", "format": "int32" }),
            "payload",
            "was -9223372036854776000 to 9223372036854776000, is -2147483648 to 2147483647 now",
        ),
        (
            json!({ "type": "number" }),
            json!({ "type": "number", "minimum": 0 }),
            "payload",
            "was -inf to inf, is 0 to inf now",
        ),
        (text.clone(), json!({ "type": "string", "maxLength": 3 }), "payload", "maxLength is 3 now"),
        (
            json!({ "type": "string", "minLength": 1 }),
            json!({ "type": "string", "minLength": 2 }),
            "payload",
            "minLength is 2 now",
        ),
        (text.clone(), json!({ "type": "string", "pattern": "^a" }), "payload", r#"pattern is "^a" now"#),
        (
            json!({ "enum": ["a", "b"] }),
            json!({ "enum": ["a", "c"] }),
            "payload",
            r#""b" is no longer allowed"#,
        ),
        (text.clone(), json!({ "const": "a" }), "payload", r#"was string, must be "a" now"#),
        (
            object(&[], &json!({})),
            object(&["a"], &json!({ "a": text })),
            "payload.a",
            "is required now, and stored events may not have it",
        ),
        (
            object(&[], &json!({ "a": text })),
            object(&["a"], &json!({ "a": text })),
            "payload.a",
            "is required now, and stored events may not have it",
        ),
        (
            object(&["a"], &json!({ "a": text })),
            object(&["a"], &json!({ "a": id })),
            "payload.a",
            r#"format is "uuid" now"#,
        ),
        (
            object(&["a"], &json!({ "a": text })),
            json!({ "type": "object", "additionalProperties": false }),
            "payload.a",
            "is no longer allowed",
        ),
        (
            object(
                &[],
                &json!({ "a": { "anyOf": [object(&[], &json!({ "b": text })), { "type": "null" }] } }),
            ),
            object(&[], &json!({ "a": { "anyOf": [object(&[], &json!({ "b": id })), { "type": "null" }] } })),
            "payload.a.b",
            r#"format is "uuid" now"#,
        ),
        (
            json!({ "type": "object", "additionalProperties": text }),
            json!({ "type": "object", "additionalProperties": id }),
            "payload.*",
            r#"format is "uuid" now"#,
        ),
        (
            json!({ "type": "array", "items": text }),
            json!({ "type": "array", "items": id }),
            "payload[]",
            r#"format is "uuid" now"#,
        ),
        (
            json!({ "type": "array", "prefixItems": [text, text] }),
            json!({ "type": "array", "prefixItems": [text, id] }),
            "payload[1]",
            r#"format is "uuid" now"#,
        ),
        (
            json!({ "type": "array", "items": text }),
            json!({ "type": "array", "items": text, "maxItems": 2 }),
            "payload",
            "maxItems is 2 now",
        ),
        (tagged(&[]), tagged(&["url"]), "payload", "object is no longer allowed"),
        (
            json!({ "$ref": "#/$defs/A" }),
            json!({ "$ref": "#/$defs/B" }),
            "payload",
            r##"$ref is "#/$defs/B" now"##,
        ),
    ] {
        assert_eq!(breaks(&old, &new), [(path.to_owned(), problem.to_owned())], "{old} -> {new}");
    }
}
