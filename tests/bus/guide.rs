//! Executes the INSERT statements of `docs/from-calls-to-events.md`, as other programs would.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use stentor::audit::{EventFilter, EventRecord};
use stentor::{Bus, DatabaseKind, Event};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::world::{World, soon};

crate::on_both_databases!(
    the_guide_s_inserts_publish,
    the_guide_s_mistakes_lead_to_what_it_says,
    an_id_is_stored_once,
);

const GUIDE: &str = include_str!("../../docs/from-calls-to-events.md");

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CourseGraduated {
    user_id: Uuid,
    course_id: Uuid,
    final_score: f64,
}

impl Event for CourseGraduated {
    const TYPE: &'static str = "course.graduated";
}

/// Returns the section of the guide under a heading.
fn section(heading: &str) -> &'static str {
    let (_, after) = GUIDE.split_once(&format!("\n### {heading}\n")).expect("the guide has the heading");
    after.split("\n### ").next().unwrap_or(after)
}

/// Returns each INSERT with the comment before it: plain ones end at a semicolon, those in TypeScript at a backtick.
fn inserts(section: &'static str) -> Vec<(&'static str, &'static str)> {
    let starts = section.match_indices("INSERT INTO system_events (");
    starts
        .map(|(start, _)| {
            let (before, statement) = section.split_at(start);
            let comment = before.trim_end().lines().last().unwrap_or_default();
            (comment, statement.split([';', '`']).next().unwrap_or_default().trim())
        })
        .collect()
}

fn name_of(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => "SQLite",
        DatabaseKind::Postgres => "PostgreSQL",
    }
}

/// Runs a statement on a connection that knows nothing of the bus. Parameters are an id and a payload.
async fn run(world: &World, kind: DatabaseKind, sql: &'static str, id: Uuid) -> Result<u64, sqlx::Error> {
    let event = CourseGraduated { user_id: Uuid::now_v7(), course_id: Uuid::now_v7(), final_score: 95.0 };
    let payload = serde_json::to_value(event).unwrap();
    let has_parameters = sql.contains("$1") || sql.contains('?');
    Ok(match kind {
        DatabaseKind::Sqlite => {
            let mut connection = SqliteConnection::connect(&world.url).await?;
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = if has_parameters {
                query.bind(id.as_bytes().to_vec()).bind(payload.to_string())
            } else {
                query
            };
            query.execute(&mut connection).await?.rows_affected()
        }
        DatabaseKind::Postgres => {
            let mut connection = PgConnection::connect(&world.url).await?;
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = if has_parameters { query.bind(id).bind(payload) } else { query };
            query.execute(&mut connection).await?.rows_affected()
        }
    })
}

async fn start(world: &World) -> (Bus, mpsc::UnboundedReceiver<Arc<CourseGraduated>>) {
    let bus = world.builder().start().await.unwrap();
    let (sender, heard) = mpsc::unbounded_channel();
    let handler = move |event: Arc<CourseGraduated>| {
        let sender = sender.clone();
        async move { Ok(sender.send(event)?) }
    };
    bus.subscribe("ats", handler).await.unwrap();
    (bus, heard)
}

/// Returns the only event of a type, once it is processed.
async fn processed(bus: &Bus, event_type: &str) -> EventRecord {
    let filter = EventFilter { event_type: Some(event_type.to_owned()), ..EventFilter::default() };
    soon(async {
        loop {
            let mut events = bus.client().all_events(&filter).await.unwrap();
            assert_eq!(events.len(), 1);
            if let Some(event) = events.pop().filter(|event| event.processed_at.is_some()) {
                return event;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn the_guide_s_inserts_publish(world: World) {
    let (bus, mut heard) = start(&world).await;
    let kind = bus.client().database_kind();
    let found = inserts(section(name_of(kind)));
    assert!(found.len() >= 2, "one in SQL and one in TypeScript at least: {found:?}");
    assert!(found.iter().any(|(_, sql)| sql.contains('?') || sql.contains("$1")));
    for (_, sql) in found {
        let rows = run(&world, kind, sql, Uuid::now_v7()).await;
        assert_eq!(rows.unwrap_or_else(|error| panic!("{error}: {sql}")), 1);
        let event = soon(heard.recv()).await.unwrap();
        assert!((event.final_score - 95.0).abs() < f64::EPSILON, "{sql}");
    }
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn the_guide_s_mistakes_lead_to_what_it_says(world: World) {
    let (bus, mut heard) = start(&world).await;
    let kind = bus.client().database_kind();
    let mut seen = Vec::new();
    for (comment, sql) in inserts(section("What a mistake leads to")) {
        let result = run(&world, kind, sql, Uuid::now_v7()).await;
        let outcome = comment.trim_start_matches("-- ").split(':').next().unwrap();
        match outcome {
            "refused" => assert!(matches!(result, Err(sqlx::Error::Database(_))), "{sql}: {result:?}"),
            "unheard" => assert_eq!(processed(&bus, "course.gradated").await.error, None),
            "dead" => {
                let error = processed(&bus, "course.graduated").await.error.unwrap();
                assert!(error.contains("missing field `courseId`"), "{error}");
                assert!(comment.contains("missing field `courseId`"), "{comment}");
            }
            other => panic!("the guide says {other:?} of {sql}"),
        }
        seen.push(outcome);
    }
    assert_eq!(seen, ["refused", "refused", "unheard", "dead"]);
    assert!(heard.try_recv().is_err());
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn an_id_is_stored_once(world: World) {
    let (bus, mut heard) = start(&world).await;
    let kind = bus.client().database_kind();
    let found = inserts(section(name_of(kind)));
    let (_, sql) =
        found.iter().find(|(_, sql)| sql.contains("ON CONFLICT")).expect("one that may be repeated");
    let id = Uuid::now_v7();
    for rows in [1, 0] {
        assert_eq!(run(&world, kind, sql, id).await.unwrap(), rows);
    }
    soon(heard.recv()).await.unwrap();
    assert_eq!(processed(&bus, "course.graduated").await.id, id);
    assert!(heard.try_recv().is_err());
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
