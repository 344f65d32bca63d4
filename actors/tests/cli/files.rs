//! `publish --file`: a batch of lines is stored whole or not at all.

use std::io::Write;
use std::process::Stdio;

use crate::binary::{Cli, Outcome, payload};
use crate::world::{Database, on_both_databases};

on_both_databases! {
    a_file_is_stored_in_order_and_twice_is_once,
    a_bad_line_is_named_and_its_batch_is_left_out,
    standard_input_is_a_file_too,
}

fn line(number: u32) -> String {
    let payload = payload("timesheet.submitted");
    format!(
        "{{\"type\":\"timesheet.submitted\",\"id\":\"01900000-0000-7000-8000-{number:012}\",\"payload\":{payload}}}\n"
    )
}

fn lines(count: u32) -> String {
    (1..=count).map(line).collect()
}

async fn a_file_is_stored_in_order_and_twice_is_once(database: Database) {
    let cli = Cli::migrated(database);
    cli.file("events.ndjson", &format!("{}\n\n{}", lines(3), line(2)));
    let publish = ["publish", "--file", "events.ndjson"];
    let first = cli.json(&publish);
    assert_eq!((&first["stored"], &first["duplicates"]), (&3.into(), &1.into()));
    let ids: Vec<_> =
        cli.stored().iter().map(|event| event["id"].as_str().unwrap()[33..].to_owned()).collect();
    assert_eq!(ids, ["003", "002", "001"]);
    assert_eq!(cli.json(&publish)["stored"], 0);
    assert_eq!(cli.stored().len(), 3);
}

async fn a_bad_line_is_named_and_its_batch_is_left_out(database: Database) {
    let cli = Cli::migrated(database);
    let with_good = |bad: &str| format!("{}{bad}\n{}", lines(2), line(3));
    for (bad, words) in [
        ("{\"type\":", ["line 3:", "nothing was stored"]),
        ("[1]", ["line 3:", "not an event"]),
        (
            "{\"type\":\"timesheet.submitted\",\"payload\":{}}",
            ["line 3:", "does not fit timesheet.submitted"],
        ),
        ("{\"type\":\"no.such\",\"payload\":{}}", ["line 3:", "no.such"]),
        ("{\"type\":\"no.such\",\"payload\":{},\"colour\":1}", ["line 3:", "colour"]),
        ("{\"type\":\"no.such\",\"payload\":{},\"ip_address\":\"1.2.3\"}", ["line 3:", "IP address"]),
        ("{\"type\":\"no.such\",\"payload\":{},\"id\":\"7\"}", ["line 3:", "not an event"]),
    ] {
        cli.file("bad.ndjson", &with_good(bad));
        cli.fails(&["publish", "--file", "bad.ndjson"], 2, &words);
        assert!(cli.stored().is_empty(), "{bad}");
    }
    let other = line(1).replace("timesheet.submitted", "course.graduated");
    let other = other.replace(&payload("timesheet.submitted"), &payload("course.graduated"));
    cli.file("conflict.ndjson", &with_good(&other));
    cli.fails(
        &["publish", "--file", "conflict.ndjson"],
        1,
        &["line 3:", "is taken by an event", "nothing was stored"],
    );
    assert!(cli.stored().is_empty());
    cli.file("long.ndjson", &format!("{}nonsense\n", lines(1_500)));
    cli.fails(&["publish", "--file", "long.ndjson"], 2, &["line 1501:", "1 to 1000", "line 1001"]);
    assert_eq!(cli.stored().len(), 1_000);
    cli.fails(&["publish", "--file", "absent.ndjson"], 2, &["absent.ndjson", "cannot be read"]);
}

async fn standard_input_is_a_file_too(database: Database) {
    let cli = Cli::migrated(database);
    let mut publishing = cli
        .command(&["publish", "--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    publishing.stdin.take().unwrap().write_all(lines(2).as_bytes()).unwrap();
    let outcome = Outcome::of(publishing.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "2 events stored\n"));
    assert_eq!(cli.stored().len(), 2);
}
