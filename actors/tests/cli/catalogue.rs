//! The catalogue as documents, and what may not change in it.

use serde_json::{Value, json};

use crate::binary::Cli;
use crate::world::Database;

/// What the repository keeps.
const COMMITTED: &str = include_str!("../../catalogue.json");

fn cli() -> Cli {
    Cli::new(Database::sqlite())
}

fn export(cli: &Cli, form: &str) -> String {
    cli.succeeds(&["catalogue", "export", "--format", form])
}

#[test]
fn the_committed_export_is_up_to_date() {
    assert!(
        export(&cli(), "json-schema") == COMMITTED,
        "run: cargo run -- catalogue export --format json-schema > actors/catalogue.json"
    );
}

#[test]
fn every_example_fits_the_schema_of_its_type_and_of_no_other() {
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    let schema = jsonschema::options().should_validate_formats(true).build(&document).unwrap();
    for example in stentor_actors::events::examples().unwrap() {
        let event = json!({ "type": example.event_type, "payload": example.payload });
        assert!(schema.is_valid(&event), "{event}");
        let other = json!({ "type": "no.such", "payload": example.payload });
        assert!(!schema.is_valid(&other), "{other}");
        let empty = json!({ "type": example.event_type, "payload": {} });
        assert!(!schema.is_valid(&empty), "{empty}");
    }
    let not_an_id = json!({ "type": "candidate.created", "payload": { "userId": "Zoe" } });
    assert!(!schema.is_valid(&not_an_id));
}

#[test]
fn the_typescript_union_is_the_one_that_applications_had() {
    let union = export(&cli(), "typescript");
    for line in [
        "export type SystemEvent =",
        "  | { type: 'topic.completed'; payload: { score: number; topicId: string; userId: string } }",
        "  | { type: 'notification.send'; payload: { message: string; title: string; \
            type: 'info' | 'success' | 'warning' | 'error'; userId: string } }",
    ] {
        assert!(union.lines().any(|found| found == line), "{line}\n{union}");
    }
    assert!(union.trim_end().ends_with(';'));
}

#[test]
fn asyncapi_names_every_channel_and_who_receives_from_it() {
    let document: Value = serde_json::from_str(&export(&cli(), "asyncapi")).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let channel = &document["channels"]["course.graduated"];
    assert_eq!(channel["address"], "course.graduated");
    let message = channel["messages"]["course.graduated"]["$ref"].as_str().unwrap();
    let message = document.pointer(message.strip_prefix('#').unwrap()).unwrap();
    assert_eq!(message["payload"]["properties"]["userId"]["format"], "uuid");
    let operations = document["operations"].as_object().unwrap();
    let receivers: Vec<&str> =
        operations.keys().filter_map(|name| name.strip_suffix(".course.graduated")).collect();
    assert_eq!(receivers, ["ats", "companions", "notifications", "trikala"]);
    for operation in operations.values() {
        let channel = operation["channel"]["$ref"].as_str().unwrap();
        assert!(document.pointer(channel.strip_prefix('#').unwrap()).is_some(), "{channel}");
    }
}

#[test]
fn the_page_for_people_has_a_section_for_every_type() {
    let page = export(&cli(), "markdown");
    let types = cli().json(&["catalogue", "list"]);
    for event_type in types.as_array().unwrap() {
        let heading = format!("## {}", event_type["type"].as_str().unwrap());
        assert!(page.lines().any(|line| line == heading), "{heading}");
    }
    assert!(page.contains("| `finalScore` | number (double) |"), "{page}");
    assert!(page.contains("Received by: ats, companions, notifications, trikala."), "{page}");
}

/// Checks against the committed export as it would be if the types had been so before.
fn check(change: impl FnOnce(&mut Value)) -> (i32, Value) {
    let cli = cli();
    let mut before: Value = serde_json::from_str(COMMITTED).unwrap();
    change(&mut before["$defs"]);
    cli.file("before.json", &before.to_string());
    let outcome = cli.run(&["catalogue", "check", "before.json", "-o", "json"]);
    (outcome.code, serde_json::from_str(&outcome.out).unwrap())
}

#[test]
fn a_catalogue_that_reads_whatever_is_stored_passes() {
    let (code, report) = check(|_| ());
    assert_eq!((code, report), (0, json!({ "ok": true, "up_to_date": true, "breaks": [] })));
    // A type and an optional field are new.
    let (code, report) = check(|types| {
        types.as_object_mut().unwrap().remove("quiz.passed");
        let payload = &mut types["candidate.placed"]["properties"]["payload"];
        payload["properties"]["bonus"] = json!({ "type": "integer" });
    });
    assert_eq!((code, report), (0, json!({ "ok": true, "up_to_date": false, "breaks": [] })));
}

#[test]
fn a_change_that_stored_events_would_not_survive_fails() {
    let (code, report) = check(|types| {
        // There was a type more, and it is gone.
        let gone = types["quiz.passed"].clone();
        types["quiz.failed"] = gone;
        // The score was not always there, and could be a text.
        let payload = &mut types["course.graduated"]["properties"]["payload"];
        payload["required"] = json!(["userId", "courseId"]);
        payload["properties"]["finalScore"] = json!({ "type": ["number", "string"] });
        types["job.posted"]["x-schema-version"] = json!(2);
    });
    let breaks = report["breaks"].as_array().unwrap();
    let found: Vec<(&str, &str)> = breaks
        .iter()
        .map(|found| (found["type"].as_str().unwrap(), found["path"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("course.graduated", "payload.finalScore"),
            ("course.graduated", "payload.finalScore"),
            ("job.posted", "type"),
            ("quiz.failed", "type"),
        ]
    );
    assert_eq!((code, &report["ok"]), (1, &json!(false)));
}

#[test]
fn an_example_that_the_upcast_cannot_read_fails() {
    // No type of the catalogue has a version 0 to come from.
    let (code, report) = check(|types| types["job.posted"]["x-schema-version"] = json!(0));
    let problem = report["breaks"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("job.posted cannot be brought up from version 0"), "{problem}");
    assert_eq!(code, 1);
}

#[test]
fn a_file_that_is_no_export_is_wrong_usage() {
    let cli = cli();
    cli.file("other.json", "[1, 2]");
    cli.fails(&["catalogue", "check", "other.json"], 2, &["other.json", "catalogue export"]);
    cli.fails(&["catalogue", "check", "missing.json"], 2, &["missing.json"]);
    cli.fails(&["catalogue", "export", "--format", "pdf"], 2, &["pdf"]);
    cli.fails(&["catalogue", "export"], 2, &["required"]);
}
