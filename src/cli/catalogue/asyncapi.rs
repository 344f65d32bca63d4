//! The catalogue as an `AsyncAPI` 3 document: a channel for each event type, and who receives from it.

use serde_json::{Map, Value, json};

use super::export::Exported;

pub(super) fn document(name: &str, version: &str, types: &[Exported]) -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for known in types {
        let event_type = known.event_type;
        let channel = json!({
            "address": event_type,
            "messages": { event_type: { "$ref": format!("#/components/messages/{event_type}") } },
        });
        channels.insert(event_type.to_owned(), channel);
        messages.insert(event_type.to_owned(), message(known));
        for module in &known.subscribers {
            let operation = json!({
                "action": "receive",
                "channel": { "$ref": format!("#/channels/{event_type}") },
                "summary": format!("{module} reacts to {event_type}"),
                "tags": [{ "name": module }],
            });
            operations.insert(format!("{module}.{event_type}"), operation);
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": name, "version": version, "description": format!("The events of {name} and the modules that receive them.") },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })
}

fn message(known: &Exported) -> Value {
    let mut message = json!({
        "name": known.event_type,
        "contentType": "application/json",
        "payload": known.payload,
        "x-schema-version": known.schema_version,
    });
    if !known.description().is_empty() {
        message["summary"] = known.description().into();
    }
    if let Some(example) = &known.example {
        message["examples"] = json!([{ "payload": example }]);
    }
    message
}
