//! The demo finds every expected row, and notices when one is missing.

use std::path::Path;

use stentor::{Bus, Row, Value, args};
use stentor_actors::demo::{DemoError, DemoOptions, DemoReport, render, run, run_on};
use stentor_actors::modules_with;
use stentor_actors::school::School;
use url::Url;
use uuid::Uuid;

use crate::world::{Database, on_both_databases, settings};

mod gaps;

on_both_databases![
    a_demo_finds_every_expected_row_and_can_be_run_again,
    a_demo_on_a_given_database_keeps_its_files_and_leaves_the_sales_rep_alone,
];

/// Runs a demo on a database, with documents kept in `folder`.
async fn run_at(url: &str, folder: &Path, graduates: u32) -> Result<DemoReport, DemoError> {
    let bus = modules_with(Bus::builder().database(url), &settings(folder));
    run_on(bus, url, graduates).await
}

async fn a_demo_finds_every_expected_row_and_can_be_run_again(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let report = run_at(&database.url, folder.path(), 25).await.unwrap();
        assert!(report.passed(), "{:#?}", report.checks);
        assert!(report.checks.len() >= 35);
        // 134 completions, 25 graduations, 25 candidates, and a letter for each senior or both admins.
        assert!(report.events >= 134 + 25 + 25 + 25, "{}", report.events);
    }
}

/// Reads or writes the tables while no bus runs on them, as the application around the modules would.
async fn between_demos(url: &str, folder: &Path, sql: &str, args: Vec<Value>) -> Vec<Row> {
    let bus = modules_with(Bus::builder().database(url), &settings(folder)).start().await.unwrap();
    let mut tx = bus.begin().await.unwrap();
    let rows = tx.fetch_all(sql, args).await.unwrap();
    tx.commit().await.unwrap();
    bus.shutdown(std::time::Duration::from_secs(10)).await.unwrap();
    rows
}

async fn a_demo_on_a_given_database_keeps_its_files_and_leaves_the_sales_rep_alone(database: Database) {
    const SELLS: &str =
        "INSERT INTO sales_reps (lead_type, user_id) VALUES ('default', $1) RETURNING user_id";
    let folder = tempfile::tempdir().unwrap();
    let (school, url) = (School::new(1, 7), database.url.as_str());
    let bus = modules_with(Bus::builder().database(url), &settings(folder.path())).start().await.unwrap();
    school.insert(&bus).await.unwrap();
    bus.shutdown(std::time::Duration::from_secs(10)).await.unwrap();
    let rep = school.student_ids().next().unwrap();
    between_demos(url, folder.path(), SELLS, args![rep]).await;

    let report = run_at(url, folder.path(), 3).await.unwrap();
    assert!(report.passed(), "{:#?}", report.checks);

    let reps = between_demos(url, folder.path(), "SELECT user_id FROM sales_reps", args![]).await;
    assert_eq!(reps.iter().map(|row| row.get::<Uuid>("user_id").unwrap()).collect::<Vec<_>>(), [rep]);
    let documents =
        between_demos(url, folder.path(), "SELECT file_url FROM generated_documents", args![]).await;
    assert_eq!(documents.len(), 3);
    for row in documents {
        let file = Url::parse(&row.get::<String>("file_url").unwrap()).unwrap().to_file_path().unwrap();
        assert!(file.is_file() && file.starts_with(folder.path()), "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_demo_leaves_its_database_and_tells_its_story() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let options = DemoOptions { graduates: 7, keep: Some(keep.clone()) };
    let report = run(&options).await.unwrap();
    assert!(keep.join("stentor.db").exists());
    let mut text = Vec::new();
    render(&report, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(!report.story.graduate.is_empty());
    let trail = format!("Audit trail of one graduation: {}", report.story.graduate);
    for part in ["Timeline", "Who did what", &trail, "course.graduated", "caused by"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("FAILED"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_json_has_the_fields_that_scripts_rely_on() {
    let report = run(&DemoOptions { graduates: 1, ..DemoOptions::default() }).await.unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["checks", "deliveries", "elapsed_ms", "events"]);
    let check: Vec<&String> = json["checks"][0].as_object().unwrap().keys().collect();
    assert_eq!(check, ["detail", "name", "ok"]);
    // Five topics, and what comes of them up to the lead that the graduate brings along.
    assert_eq!((json["events"].as_u64(), json["deliveries"].as_u64()), (Some(19), Some(33)));
}

#[tokio::test]
async fn a_demo_without_graduates_is_refused() {
    for graduates in [0, 100_001] {
        let options = DemoOptions { graduates, ..DemoOptions::default() };
        assert!(matches!(run(&options).await, Err(DemoError::Graduates(_))));
    }
}

#[test]
fn one_failed_check_fails_the_demo() {
    let report = |oks: &[bool]| -> DemoReport {
        DemoReport {
            events: 1,
            deliveries: 1,
            elapsed_ms: 1,
            checks: oks
                .iter()
                .map(|ok| stentor_actors::demo::Check {
                    name: "a row".to_owned(),
                    ok: *ok,
                    detail: "0 of 1".to_owned(),
                })
                .collect(),
            story: stentor_actors::demo::Story::default(),
        }
    };
    assert!(report(&[true, true]).passed());
    assert!(!report(&[true, false]).passed());
}
