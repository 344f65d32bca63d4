//! The demo finds every expected row, and notices when one is missing.

use stentor_actors::demo::{DemoError, DemoOptions, DemoReport, render, run};

use crate::world::{Database, on_both_databases};

on_both_databases![a_demo_finds_every_expected_row_and_can_be_run_again];

async fn a_demo_finds_every_expected_row_and_can_be_run_again(database: Database) {
    let options = DemoOptions { graduates: 25, database: Some(database.url.clone()), keep: None };
    for _ in 0..2 {
        let report = run(&options).await.unwrap();
        assert!(report.passed(), "{:#?}", report.checks);
        assert!(report.checks.len() >= 10);
        // 134 completions, 25 graduations, 25 candidates, and a letter for each senior or both admins.
        assert!(report.events >= 134 + 25 + 25 + 25, "{}", report.events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_demo_leaves_its_database_and_tells_its_story() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let options = DemoOptions { graduates: 7, database: None, keep: Some(keep.clone()) };
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
