//! Each question that the bus or an operator asks is answered by an index.

use uuid::Uuid;

use super::{DatabaseKind, World};
use crate::store::sql::{Statement, Value};
use crate::store::{audit, claims, nodes};

super::on_both_databases!(every_question_is_answered_by_an_index);

/// Fills the tables as a busy month would, in proportion.
async fn fill(world: &World) {
    let sqlite = world.store.database_kind() == DatabaseKind::Sqlite;
    let (series, id, payload, epoch) = if sqlite {
        (
            "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)",
            "randomblob(16)",
            "'{}'",
            "n * 1000000",
        )
    } else {
        (
            "WITH s (n) AS (SELECT generate_series(1, 20000))",
            "gen_random_uuid()",
            "'{}'::jsonb",
            "to_timestamp(n)",
        )
    };
    let events = format!(
        "INSERT INTO system_events (id, type, payload, created_at, processed_at, error, correlation_id)
         {series} SELECT {id}, 'test.type_' || (n % 50), {payload}, {epoch}, {epoch},
                CASE WHEN n % 200 = 0 THEN 'failed' END, CASE WHEN n % 3 = 0 THEN {id} END FROM s"
    );
    // SQLite wants the WITH in front of the SELECT, which is where it stands.
    world.run(&events, Vec::new()).await.expect("events");
    let deliveries = "INSERT INTO event_deliveries (event_id, module, state, available_at, seq)
         SELECT id, 'module-' || (seq % 20), CASE WHEN seq % 4 = 0 THEN 'pending' ELSE 'acked' END, created_at, seq
         FROM system_events";
    world.run(deliveries, Vec::new()).await.expect("deliveries");
    world.run("ANALYZE", Vec::new()).await.expect("statistics");
}

async fn plan(world: &World, statement: &'static Statement, values: Vec<Value>) -> String {
    let kind = world.store.database_kind();
    let (explain, column) = match kind {
        DatabaseKind::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        DatabaseKind::Postgres => ("EXPLAIN", "QUERY PLAN"),
    };
    let text = format!("{explain} {}", statement.text(kind));
    // On a connection that may write: some of the questions lock what they find.
    let mut transaction = world.store.begin_delivery().await.expect("a transaction");
    let rows = transaction.fetch_all(&text, values).await.expect("a plan");
    rows.iter().map(|row| row.get::<String>(column).expect("a line")).collect::<Vec<_>>().join("\n")
}

async fn every_question_is_answered_by_an_index(world: &World) {
    fill(world).await;
    let page = |more: Vec<Value>| {
        let mut values = crate::args![
            i64::MAX,
            50_i64,
            None::<time::OffsetDateTime>,
            None::<time::OffsetDateTime>,
            None::<String>
        ];
        values.extend(more);
        values
    };
    let due = crate::args!["module-4", 100_i64, 3_i64, false, Vec::<String>::new(), None::<String>];
    let questions: [(&str, &'static Statement, Vec<Value>); 6] = [
        ("events of a type", &audit::EVENTS_OF_TYPE, page(crate::args!["test.type_7"])),
        ("newest events", &audit::EVENTS, page(Vec::new())),
        ("unprocessed events of a node", &nodes::ORPHANS, crate::args![Uuid::now_v7(), 100_i64]),
        ("failed events of a type", &audit::FAILED_EVENTS_OF_TYPE, page(crate::args!["test.type_7"])),
        ("an event's chain", &audit::CHAIN, crate::args![Uuid::now_v7(), 0_i64]),
        ("due deliveries of a module", &claims::DUE, due),
    ];
    for (question, statement, values) in questions {
        let plan = plan(world, statement, values).await;
        for line in plan.lines() {
            let scans_a_table = line.contains("Seq Scan on system_events")
                || line.contains("Seq Scan on event_deliveries")
                || (line.starts_with("SCAN e") && !line.contains("USING"))
                || (line.starts_with("SCAN d") && !line.contains("USING"));
            assert!(!scans_a_table, "{question} scans a table:\n{plan}");
        }
    }
    let alone = plan(world, &claims::ALONE, crate::args![vec!["module-4".to_owned()]]).await;
    assert!(
        alone.contains("system_events_alone"),
        "a look for the few walks through all that waits:\n{alone}"
    );
}
