//! The fault of those who follow a table by its numbers: what commits late has a
//! smaller number than what was read already, and is never seen.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use stentor::{Bus, Publication};
use uuid::Uuid;

use crate::book::Page;
use crate::child::Loaded;

/// How long the slow publisher's transactions stay open after their insert.
const OPEN: Duration = Duration::from_millis(15);
/// The lane of the slow publisher.
const LANE: u32 = 8;

async fn connect() -> PgConnection {
    PgConnection::connect(&std::env::var("STENTOR_CRASH_URL").unwrap()).await.unwrap()
}

/// Reads `seq > last` in place of a module, and writes the effects; never returns.
pub(crate) async fn follow() {
    let mut connection = connect().await;
    let mut last = position(&mut connection).await;
    loop {
        last = step(&mut connection, last).await.unwrap_or(last);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Reads what is left.
pub(crate) async fn catch_up() {
    let mut connection = connect().await;
    let mut last = position(&mut connection).await;
    while let Some(next) = step(&mut connection, last).await {
        last = next;
    }
}

async fn position(connection: &mut PgConnection) -> i64 {
    let sql = "SELECT COALESCE(MAX(e.seq), 0) FROM crash_effects f JOIN system_events e ON e.id = f.event_id";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Writes the effects of the next events, and returns the last one's number; nothing if there are none.
async fn step(connection: &mut PgConnection, last: i64) -> Option<i64> {
    let sql = "WITH next AS (SELECT id, seq FROM system_events WHERE type = 'crash.loaded' AND seq > $1
                             ORDER BY seq LIMIT 100),
                    done AS (INSERT INTO crash_effects (event_id) SELECT id FROM next)
               SELECT MAX(seq) FROM next";
    sqlx::query_scalar(sql).bind(last).fetch_one(connection).await.unwrap()
}

/// Publishes in transactions that stay open for a while, as a busy application's do.
pub(crate) async fn publish_slowly(bus: &Bus, published: &Page, round: u32) {
    let mut connection = connect().await;
    for count in 0_i64.. {
        let id = Uuid::now_v7();
        let event = Loaded { lane: LANE, number: i64::from(round) * 1_000_000 + count };
        let mut transaction = connection.begin().await.unwrap();
        bus.publish_in(&mut *transaction, Publication::new(event).id(id)).await.unwrap();
        tokio::time::sleep(OPEN).await;
        transaction.commit().await.unwrap();
        published.write(&id.to_string());
    }
}
