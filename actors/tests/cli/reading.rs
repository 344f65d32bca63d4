//! The audit trail and the catalogue, as they are printed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::binary::{Cli, payload};
use crate::world::{Database, on_both_databases};

on_both_databases! {
    a_list_is_read_page_by_page,
    an_event_is_shown_with_everything_known_about_it,
    tail_shows_what_comes,
}

async fn a_list_is_read_page_by_page(database: Database) {
    let cli = Cli::migrated(database);
    let published: Vec<String> = (0..5).map(|_| cli.publish()).collect();
    let (mut seen, mut cursor) = (Vec::new(), i64::MAX.to_string());
    loop {
        let page = cli.json(&["events", "list", "--limit", "2", "--cursor", &cursor]);
        let Some(last) = page.as_array().unwrap().last() else { break };
        cursor = last["seq"].to_string();
        seen.extend(page.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
    }
    seen.reverse();
    assert_eq!(seen, published);
    let count = |args: &[&str]| cli.json(&[&["events", "list"], args].concat()).as_array().unwrap().len();
    assert_eq!(count(&["--type", "timesheet.submitted", "--since", "1h"]), 5);
    assert_eq!(count(&["--type", "topic.completed"]), 0);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(count(&["--state", "unprocessed"]), 5);
    assert_eq!(count(&["--state", "processed"]) + count(&["--state", "failed"]), 0);
    assert_eq!(count(&["--correlation-id", &published[0]]), 1);
    let lines = cli.succeeds(&["events", "list", "-o", "jsonl"]);
    assert!(
        lines.lines().count() == 5 && lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
}

async fn an_event_is_shown_with_everything_known_about_it(database: Database) {
    let cli = Cli::migrated(database);
    let user = "01900000-0000-7000-8000-0000000000aa";
    let json = payload("timesheet.submitted");
    let publish = [
        "publish",
        "timesheet.submitted",
        &json,
        "--created-by",
        user,
        "--correlation-id",
        user,
        "--key",
        "k7",
    ];
    let id = cli.succeeds(&publish).trim().to_owned();
    let shown = cli.json(&["events", "show", &id]);
    let event = &shown["event"];
    assert_eq!((&event["created_by"], &event["correlation_id"]), (&user.into(), &user.into()));
    assert_eq!((&event["type"], &event["ordering_key"]), (&"timesheet.submitted".into(), &"k7".into()));
    assert_eq!(event["payload"], serde_json::from_str::<Value>(&json).unwrap());
    let text = cli.succeeds(&["events", "show", &id]);
    assert!(text.contains(&id) && text.contains("Payload") && text.contains("Deliveries"), "{text}");
    cli.fails(&["events", "show", user], 3, &[user, "events list"]);
}

async fn tail_shows_what_comes(database: Database) {
    let cli = Cli::migrated(database);
    let before = cli.publish();
    let mut tail = cli.command(&["events", "tail", "-o", "jsonl"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["id"].clone();
    assert_eq!(next(), before.as_str());
    for _ in 0..3 {
        let id = cli.publish();
        assert_eq!(next(), id.as_str());
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn the_catalogue_needs_no_database() {
    let cli = Cli::new(Database::sqlite());
    let list = cli.json(&["catalogue", "list"]);
    assert!(list.as_array().unwrap().iter().any(|entry| entry["type"] == "course.graduated"));
    let one = cli.json(&["catalogue", "show", "course.graduated"]);
    assert_eq!((&one["schema_version"], &one["subscribers"]), (&1.into(), &Value::Null));
    assert!(one["example"].is_object());
    cli.fails(&["catalogue", "show", "no.such"], 3, &["no.such", "catalogue list"]);
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let cli = Cli::new(Database::sqlite());
    for text in [cli.succeeds(&["completions", "bash"]), cli.succeeds(&["man"])] {
        for command in
            ["demo", "serve", "publish", "events", "deliveries", "replay", "modules", "catalogue", "migrate"]
        {
            assert!(text.contains(command), "{command}");
        }
    }
    assert!(cli.succeeds(&["--version"]).starts_with("stentor "));
    assert!(cli.succeeds(&["--help"]).contains("replay"));
}
