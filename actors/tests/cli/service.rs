//! `serve`, and what runs beside it.

use std::fs;

use crate::binary::{Cli, payload};
use crate::world::{Database, on_both_databases};

on_both_databases! {
    an_event_published_beside_a_service_is_processed,
    waiting_without_a_service_times_out_and_keeps_the_event,
    a_service_stops_cleanly_on_each_signal,
    a_benchmark_says_what_it_reached,
}

async fn an_event_published_beside_a_service_is_processed(database: Database) {
    let cli = Cli::new(database);
    let service = cli.serve();
    let json = payload("timesheet.submitted");
    let id = cli.succeeds(&["publish", "timesheet.submitted", &json, "--wait=50"]).trim().to_owned();
    assert!(cli.json(&["events", "show", &id])["event"]["processed_at"].is_string());
    let line = format!("{{\"type\":\"timesheet.submitted\",\"payload\":{json}}}\n");
    fs::write(cli.path().join("many.ndjson"), line.repeat(50)).unwrap();
    cli.succeeds(&["publish", "--file", "many.ndjson", "--wait=50"]);
    assert_eq!(
        cli.json(&["events", "list", "--state", "processed", "--limit", "100"]).as_array().unwrap().len(),
        51
    );
    let one = cli.json(&["catalogue", "show", "course.graduated"]);
    assert!(one["subscribers"].as_array().unwrap().contains(&"ats".into()), "{one}");
    assert_eq!(service.stop("TERM").0, Some(0));
}

async fn waiting_without_a_service_times_out_and_keeps_the_event(database: Database) {
    let cli = Cli::migrated(database);
    let json = payload("timesheet.submitted");
    let args = ["publish", "timesheet.submitted", &json, "--wait=0"];
    let outcome = cli.run(&args);
    outcome.is_failure(&args, 5, &["processed within 0 s", outcome.out.trim()]);
    assert_eq!(cli.stored()[0]["id"], outcome.out.trim());
}

async fn a_service_stops_cleanly_on_each_signal(database: Database) {
    let cli = Cli::new(database);
    for signal in ["TERM", "INT"] {
        let (code, log) = cli.serve().stop(signal);
        assert_eq!(code, Some(0), "{signal}: {log}");
        assert!(log.contains("stopping"), "{log}");
    }
}

#[test]
fn an_sqlite_file_has_one_service_at_a_time() {
    let cli = Cli::new(Database::sqlite());
    let service = cli.serve();
    cli.fails(&["serve"], 4, &["in use", "pid"]);
    assert_eq!(service.stop("TERM").0, Some(0));
    assert_eq!(cli.serve().stop("TERM").0, Some(0));
}

#[test]
fn a_setting_out_of_bounds_is_named() {
    let cli = Cli::new(Database::sqlite());
    cli.file("stentor.toml", "[bus]\nlease = '1ms'\n");
    cli.fails(&["serve"], 2, &["lease", "300 ms to 1 h", "[bus]"]);
}

#[test]
fn the_demo_finds_every_row() {
    let cli = Cli::new(Database::sqlite());
    let report = cli.json(&["demo", "--graduates", "2"]);
    assert!(report["events"].as_i64().unwrap() > 2 && report["elapsed_ms"].is_i64());
    let checks = report["checks"].as_array().unwrap();
    assert!(!checks.is_empty() && checks.iter().all(|check| check["ok"] == true), "{report}");
    assert!(fs::read_dir(cli.path()).unwrap().next().is_none(), "the demo leaves nothing behind");
    cli.succeeds(&["demo", "--graduates", "1", "--keep", "kept"]);
    assert!(cli.path().join("kept/stentor.db").exists());
}

async fn a_benchmark_says_what_it_reached(database: Database) {
    let cli = Cli::migrated(database);
    let report = cli.json(&["bench", "fan-out", "--modules", "3", "--events", "200", "--publishers", "8"]);
    for (option, value) in [("events", 200), ("modules", 3), ("publishers", 8)] {
        assert_eq!(report[option], value, "{report}");
    }
    for figure in ["elapsed_ms", "events_per_s", "deliveries_per_s", "publish_p99_us", "processed_p50_us"] {
        assert!(report[figure].is_number(), "{figure}: {report}");
    }
    let processed = cli.json(&["events", "list", "--state", "processed", "--limit", "1000"]);
    assert!(processed.as_array().unwrap().len() >= 200);
    cli.fails(&["bench", "fan-out", "--modules", "0"], 2, &["modules", "1 to 1,000"]);
}
