//! Whatever a module leaves out, the demo notices.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use stentor::{Client, StoreOptions};
use stentor_actors::MIGRATIONS;
use tokio::task::JoinSet;

use super::run_at;

/// A demo of so few graduates takes less than a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// Rows that vanish as soon as they are written: of which table, which of its rows, and how many graduates it takes
/// to have one.
const GAPS: [(&str, &str, u32); 34] = [
    ("topic_completions", "true", 6),
    ("course_progress", "true", 6),
    ("user_roles", "role_id = (SELECT id FROM roles WHERE name = 'candidate')", 6),
    ("user_roles", "role_id = (SELECT id FROM roles WHERE name = 'employee')", 6),
    ("generated_documents", "true", 6),
    ("pod_requests", "true", 6),
    ("pod_members", "true", 6),
    // The pod has six places.
    ("pod_waitlist", "true", 7),
    ("job_shortlists", "true", 6),
    ("job_shortlists", "position = 2", 6),
    ("applications", "true", 6),
    ("workflow_instances", "true", 6),
    ("interviews", "true", 6),
    ("bench_departures", "true", 6),
    ("consultant_assignments", "true", 6),
    ("goal_advances", "true", 6),
    ("employments", "true", 6),
    ("leave_balances", "kind = 'annual'", 6),
    ("leave_balances", "kind = 'sick'", 6),
    ("onboarding_tasks", "task = 'Meet the team'", 6),
    ("xp_transactions", "source LIKE 'topic.completed/%'", 6),
    ("xp_transactions", "source LIKE 'goal.achieved/%'", 6),
    ("xp_transactions", "source LIKE 'candidate.placed/%'", 6),
    ("recruiter_placements", "true", 6),
    // The tenth placement earns one, and one of five graduates is placed.
    ("achievements", "true", 50),
    ("ai_findings", "true", 6),
    ("opportunity_pipeline", "true", 6),
    ("notifications", "title = 'New Graduate'", 6),
    ("notifications", "title = 'New Pod Member'", 6),
    ("notifications", "title = 'No Pod Has Room'", 7),
    ("notifications", "title = 'Interview Scheduled'", 6),
    ("notifications", "title = 'Welcome'", 6),
    ("notifications", "title = 'Goal Achieved'", 6),
    ("notifications", "title = 'New Lead Detected'", 6),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_without_some_of_the_rows_fails() {
    let mut unnoticed = Vec::new();
    for some in GAPS.chunks(8) {
        let mut demos = JoinSet::new();
        for (table, rows, graduates) in some {
            let gap = format!(
                "CREATE TRIGGER gap AFTER INSERT ON {table} BEGIN DELETE FROM {table} WHERE {rows}; END"
            );
            demos.spawn(async move { passes_with(&gap, *graduates).await.then_some(gap) });
        }
        unnoticed.extend(demos.join_all().await.into_iter().flatten());
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_without_the_files_of_documents_fails() {
    let elsewhere = "CREATE TRIGGER gap AFTER INSERT ON generated_documents
        BEGIN UPDATE generated_documents SET file_url = file_url || '.lost' WHERE user_id = NEW.user_id; END";
    assert!(!passes_with(elsewhere, 1).await);
}

/// Returns whether a demo passes on a database where `trigger` is at work.
async fn passes_with(trigger: &str, graduates: u32) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("gap.db").display());
    set_up(&url, trigger).await;
    // Without some rows a delivery is tried again and again: a demo that does not end has not passed.
    let demo = tokio::time::timeout(PATIENCE, run_at(&url, folder.path(), graduates)).await;
    demo.is_ok_and(|ended| ended.is_ok_and(|report| report.passed()))
}

async fn set_up(url: &str, trigger: &str) {
    let client = Client::open_any(&StoreOptions::new().url(url)).await.unwrap();
    client.migrate(&[&MIGRATIONS]).await.unwrap();
    client.close().await;
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(trigger)).await.unwrap();
    connection.close().await.unwrap();
}
