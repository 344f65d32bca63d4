//! `stats`, `doctor` and `prune`: looking after a database.

use serde_json::Value;

use crate::binary::Cli;
use crate::world::{Database, on_both_databases};

on_both_databases![
    stats_count_what_happened,
    doctor_says_what_is_well_and_what_is_not,
    prune_deletes_what_is_old_and_processed_and_nothing_else,
];

/// Lets a student graduate on the test's database.
fn graduate(cli: &Cli) {
    cli.succeeds(&["demo", "--graduates", "1", "--database", &cli.database.url]);
}

/// Returns the entry of a list whose `key` is `name`.
fn entry<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry[key] == name);
    found.unwrap_or_else(|| panic!("{name} in {list:#}"))
}

async fn stats_count_what_happened(database: Database) {
    let cli = Cli::migrated(database);
    graduate(&cli);
    let stats = cli.json(&["stats"]);
    let graduated = entry(&stats["types"], "type", "course.graduated");
    assert_eq!(
        (&graduated["events"], &graduated["processed"], &graduated["failed"]),
        (&1.into(), &1.into(), &0.into())
    );
    let [p50, p99] = ["p50_us", "p99_us"].map(|key| graduated[key].as_i64().unwrap());
    assert!(0 <= p50 && p50 <= p99, "{p50} {p99}");
    let academy = entry(&stats["modules"], "module", "academy");
    assert_eq!((&academy["deliveries"], &academy["dead"]), (&academy["acked"], &0.into()));
    let nothing = cli.json(&["stats", "--since", "2100-01-01T00:00:00Z"]);
    assert_eq!(
        (nothing["types"].as_array().unwrap().len(), nothing["modules"].as_array().unwrap().len()),
        (0, 0)
    );
}

async fn doctor_says_what_is_well_and_what_is_not(database: Database) {
    let cli = Cli::new(database);
    if !cli.database.url.starts_with("sqlite") {
        let outcome = cli.run(&["doctor"]);
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.out.contains("migrate up"), "{outcome:?}");
    }
    cli.succeeds(&["migrate", "up"]);
    let state = |report: &Value, name: &str| entry(&report["checks"], "name", name)["state"].clone();
    let outcome = cli.run(&["doctor", "-o", "json"]);
    let report = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(state(&report, "schema"), "ok");
    assert_eq!(state(&report, "nodes"), "warning", "nobody runs a service here");
    assert_eq!(state(&report, "stuck events"), "ok");
    assert_eq!(state(&report, "dead letters"), "ok");
    let service = cli.serve();
    let outcome = cli.run(&["doctor", "-o", "json"]);
    assert_eq!(state(&serde_json::from_str(&outcome.out).unwrap(), "nodes"), "ok");
    service.stop("TERM");
}

async fn prune_deletes_what_is_old_and_processed_and_nothing_else(database: Database) {
    let cli = Cli::migrated(database);
    graduate(&cli);
    let waiting = cli.publish();
    assert_eq!(cli.json(&["prune", "--older-than", "1d"])["pruned"], 0);
    let dry = cli.json(&["prune", "--older-than", "0s", "--dry-run"]);
    let wet = cli.json(&["prune", "--older-than", "0s"]);
    assert!(wet["pruned"].as_u64().unwrap() > 9, "{wet}");
    assert_eq!(dry["would_prune"], wet["pruned"]);
    let left: Vec<_> = cli.stored().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(left, [waiting], "it is not processed yet");
}
