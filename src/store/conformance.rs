//! What both databases must do alike, and what each must do on its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::sql::Value;
use super::{DatabaseKind, Migration, MigrationSet, Store, StoreError, StoreOptions};

mod plans;
mod security;
mod statements;

/// A store on a database of its own.
struct World {
    store: Store,
    url: String,
    admin: Option<String>,
    _folder: Option<TempDir>,
}

impl World {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("bus.db").display());
        Self::open(url, None, Some(folder)).await
    }

    async fn postgres() -> Self {
        let admin = std::env::var("STENTOR_TEST_POSTGRES")
            .expect("STENTOR_TEST_POSTGRES must name a PostgreSQL server; ./scripts/test starts one");
        let name = format!("stentor_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&admin).await.expect("the server");
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database");
        let (server, _) = admin.rsplit_once('/').expect("a database in the address");
        Self::open(format!("{server}/{name}"), Some(admin.clone()), None).await
    }

    async fn open(url: String, admin: Option<String>, folder: Option<TempDir>) -> Self {
        let store =
            Store::open(&StoreOptions::new().url(&url), Handle::current()).await.expect("the store opens");
        store.migrate().await.expect("the schema is made");
        Self { store, url, admin, _folder: folder }
    }

    /// Drops the database; one that a failed test leaves behind goes with its server.
    async fn close(self) {
        self.store.close().await;
        if let Some(admin) = self.admin {
            let (_, name) = self.url.rsplit_once('/').expect("a name");
            let mut connection = PgConnection::connect(&admin).await.expect("the server");
            let sql = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            connection.execute(sql).await.expect("the database goes");
        }
    }

    /// Runs SQL of a test's own.
    async fn run(&self, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        let mut transaction = self.store.begin_delivery().await?;
        let changed = transaction.execute(sql, values).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    async fn count(&self, sql: &str) -> i64 {
        self.store.fetch_all(sql, Vec::new()).await.expect("a count")[0].get("n").expect("an integer")
    }
}

macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                let world = super::World::sqlite().await;
                super::$name(&world).await;
                world.close().await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                let world = super::World::postgres().await;
                super::$name(&world).await;
                world.close().await;
            })*
        }
    };
}

use on_both_databases;

on_both_databases!(
    a_newer_schema_is_refused,
    a_hosts_own_migrations_do_not_collide,
    a_stored_event_never_changes,
    what_retention_deletes_takes_its_deliveries_along,
    a_plain_insert_is_routed_to_every_subscriber,
    a_dropped_transaction_leaves_nothing_open,
    a_claim_that_was_lost_changes_nothing,
    only_what_a_dead_node_owned_is_adopted_and_counted,
    a_key_is_claimed_in_the_order_of_the_log_whatever_is_due_first,
    a_held_key_hides_neither_what_is_before_it_nor_other_keys,
    who_has_acknowledged_shows_while_another_retries,
);

async fn a_newer_schema_is_refused(world: &World) {
    world
        .run("INSERT INTO _stentor_migrations (version, name) VALUES ($1, 'tomorrow')", crate::args![99])
        .await
        .unwrap();
    let error = world.store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaNewer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("deploy the newer build"));
}

static HOST: MigrationSet = MigrationSet {
    table: "_sqlx_migrations",
    migrations: &[Migration {
        version: 1,
        name: "host",
        sqlite: "CREATE TABLE invoices (id INTEGER) STRICT",
        postgres: "CREATE TABLE invoices (id BIGINT)",
    }],
};

async fn a_hosts_own_migrations_do_not_collide(world: &World) {
    assert_eq!(world.store.migrate_set(&HOST).await.unwrap(), 1);
    assert_eq!(world.store.migrate_set(&HOST).await.unwrap(), 0);
    assert_eq!(world.store.migrate().await.unwrap(), 0);
}

async fn plain_event(world: &World, event_type: &str) -> Uuid {
    let id = Uuid::now_v7();
    let sql = "INSERT INTO system_events (id, type, payload) VALUES ($1, $2, $3)";
    world.run(sql, crate::args![id, event_type, json!({ "a": 1 })]).await.unwrap();
    id
}

async fn a_stored_event_never_changes(world: &World) {
    plain_event(world, "test.happened").await;
    for change in
        ["type = 'test.other'", "payload = payload", "created_at = created_at", "ordering_key = 'k'"]
    {
        let error = world.run(&format!("UPDATE system_events SET {change}"), Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{change}: {error}");
    }
    let malformed = "INSERT INTO system_events (type, payload) VALUES ('Nonsense', '{}')";
    assert!(world.run(malformed, Vec::new()).await.is_err());
}

async fn what_retention_deletes_takes_its_deliveries_along(world: &World) {
    world.store.subscribe("ats", &["test.happened"]).await.unwrap();
    let gone = plain_event(world, "test.happened").await;
    plain_event(world, "test.happened").await;
    world.store.route_unrouted(10).await.unwrap();
    world.run("DELETE FROM system_events WHERE id = $1", crate::args![gone]).await.unwrap();
    assert_eq!(world.count("SELECT count(*) AS n FROM system_events").await, 1);
    assert_eq!(world.count("SELECT count(*) AS n FROM event_deliveries").await, 1);
}

async fn a_plain_insert_is_routed_to_every_subscriber(world: &World) {
    for module in ["ats", "crm"] {
        world.store.subscribe(module, &["test.happened"]).await.unwrap();
    }
    let wanted = plain_event(world, "test.happened").await;
    let unwanted = plain_event(world, "test.ignored").await;
    assert_eq!(world.store.route_unrouted(10).await.unwrap(), 2);
    assert_eq!(world.count("SELECT count(*) AS n FROM event_deliveries WHERE state = 'pending'").await, 2);
    let processed = world.store.processed_among(&[wanted, unwanted]).await.unwrap();
    assert_eq!(processed, [unwanted], "what nobody wants is done");
}

async fn a_dropped_transaction_leaves_nothing_open(world: &World) {
    for _ in 0..20 {
        let mut transaction = world.store.begin_delivery().await.unwrap();
        let statement = transaction.execute("INSERT INTO modules (name) VALUES ('half')", Vec::new());
        // One poll sends the statement; then its caller goes away.
        let mut statement = std::pin::pin!(statement);
        std::future::poll_fn(|cx| std::task::Poll::Ready(statement.as_mut().poll(cx).is_ready())).await;
    }
    assert_eq!(world.count("SELECT count(*) AS n FROM modules").await, 0);
    let mut all = Vec::new();
    for _ in 0..if world.store.has_one_writer() { 1 } else { 8 } {
        all.push(world.store.begin_delivery().await.expect("no connection leaked"));
    }
}

fn claim_of(module: &str) -> crate::delivery::ClaimRequest {
    crate::delivery::ClaimRequest {
        module: module.into(),
        limit: 10,
        order: crate::KeyOrder::Unordered,
        except_types: Vec::new(),
        probe: None,
        alone: false,
    }
}

async fn a_claim_that_was_lost_changes_nothing(world: &World) {
    world.store.subscribe("ats", &["test.happened"]).await.unwrap();
    let event = plain_event(world, "test.happened").await;
    world.store.route_unrouted(10).await.unwrap();
    let (slow, quick) = (Uuid::now_v7(), Uuid::now_v7());
    let claimed = world.store.claim(slow, &claim_of("ats")).await.unwrap();
    assert_eq!((claimed.rows.len(), claimed.rows[0].attempt), (1, 1));
    assert!(world.store.claim(quick, &claim_of("ats")).await.unwrap().rows.is_empty(), "it is taken");
    world.run("UPDATE event_deliveries SET owner = NULL", Vec::new()).await.unwrap();
    let again = world.store.claim(quick, &claim_of("ats")).await.unwrap();
    assert_eq!(again.rows[0].attempt, 2);
    let receipt =
        |attempt| super::Receipts { module: "ats".into(), live: false, deliveries: vec![(event, attempt)] };
    let mut late = world.store.begin_delivery().await.unwrap();
    let error = world.store.acknowledge(&mut late, slow, &receipt(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::ClaimLost));
    drop(late);
    let mut current = world.store.begin_delivery().await.unwrap();
    world.store.acknowledge(&mut current, quick, &receipt(2)).await.unwrap();
    current.commit().await.unwrap();
    assert_eq!(world.store.processed_among(&[event]).await.unwrap(), [event]);
}

async fn only_what_a_dead_node_owned_is_adopted_and_counted(world: &World) {
    world.store.subscribe("ats", &["test.happened"]).await.unwrap();
    let route = world.store.route_for("test.happened").await.unwrap();
    let (dead, alive) = (Uuid::now_v7(), Uuid::now_v7());
    let insert_node =
        "INSERT INTO nodes (id, started_at, heartbeat_at, lease_until, low_water, host, version)
                       VALUES ($1, $2, $2, $2, 0, 'h', 'v')";
    world.run(insert_node, crate::args![dead, time::OffsetDateTime::UNIX_EPOCH]).await.unwrap();
    for owner in [dead, dead, alive] {
        let sql = "INSERT INTO system_events (id, type, payload, route_id, owner) VALUES ($1, 'test.happened', $2, $3, $4)";
        world.run(sql, crate::args![Uuid::now_v7(), json!({}), route.id, owner]).await.unwrap();
    }
    assert_eq!(world.store.adopt(dead, 100).await.unwrap(), 2);
    assert_eq!(world.store.adopt(dead, 100).await.unwrap(), 0);
    assert_eq!(world.count("SELECT count(*) AS n FROM event_deliveries WHERE state = 'pending'").await, 2);
    assert_eq!(
        world.count("SELECT count(*) AS n FROM system_events WHERE owner IS NULL AND adoptions = 1").await,
        2
    );
    world.store.bury(dead).await.unwrap();
    assert_eq!(world.count("SELECT count(*) AS n FROM nodes").await, 0);
}

async fn a_key_is_claimed_in_the_order_of_the_log_whatever_is_due_first(world: &World) {
    world.store.subscribe("ats", &["test.happened"]).await.unwrap();
    // As after an adoption: the first of the log became a row after the second had been one.
    let mut events = Vec::new();
    for due in [200, 100, 300] {
        events.push(keyed_row(world, "key", due).await);
    }
    let node = Uuid::now_v7();
    let request = crate::delivery::ClaimRequest { order: crate::KeyOrder::Ordered, ..claim_of("ats") };
    let mut claimed = Vec::new();
    // A claim of one looks no further than it must; one of many sees all of them at once.
    for limit in [1, 1_024] {
        let request = crate::delivery::ClaimRequest { limit, ..request.clone() };
        let rows = world.store.claim(node, &request).await.unwrap().rows;
        assert!(!rows.is_empty() && rows.len() <= limit as usize);
        let held = world.store.claim(node, &request).await.unwrap().rows;
        assert!(held.is_empty(), "what follows waits until the earlier ones are settled");
        claimed.extend(rows.iter().map(|row| row.envelope.id));
        let sql = "UPDATE event_deliveries SET state = 'acked', owner = NULL WHERE owner IS NOT NULL";
        world.run(sql, Vec::new()).await.unwrap();
    }
    assert_eq!(claimed, events);
}

/// Stores an event of a key and its row, due so many seconds after 1970; returns the event's id.
async fn keyed_row(world: &World, key: &str, due: i64) -> Uuid {
    let event = Uuid::now_v7();
    let sql =
        "INSERT INTO system_events (id, type, payload, ordering_key) VALUES ($1, 'test.happened', $2, $3)";
    world.run(sql, crate::args![event, json!({}), key]).await.unwrap();
    let due = time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(due);
    let sql = "INSERT INTO event_deliveries (event_id, module, state, available_at, seq, ordering_key)
               SELECT id, 'ats', 'pending', $2, seq, ordering_key FROM system_events WHERE id = $1";
    world.run(sql, crate::args![event, due]).await.unwrap();
    event
}

async fn a_held_key_hides_neither_what_is_before_it_nor_other_keys(world: &World) {
    const FAR: i64 = 30_000_000_000;
    world.store.subscribe("ats", &["test.happened"]).await.unwrap();
    let first = keyed_row(world, "held", 100).await;
    // It waits for its retry, so all behind it wait too: more of them than one look goes through.
    keyed_row(world, "held", FAR).await;
    for _ in 0..20 {
        keyed_row(world, "held", 200).await;
    }
    let other = keyed_row(world, "other", 300).await;
    let request =
        crate::delivery::ClaimRequest { order: crate::KeyOrder::Ordered, limit: 2, ..claim_of("ats") };
    let node = Uuid::now_v7();
    let rows = world.store.claim(node, &request).await.unwrap().rows;
    let claimed: Vec<Uuid> = rows.iter().map(|row| row.envelope.id).collect();
    assert_eq!(claimed, [first, other]);
    assert!(world.store.claim(node, &request).await.unwrap().rows.is_empty());
}

async fn who_has_acknowledged_shows_while_another_retries(world: &World) {
    world.store.subscribe("ats", &["test.happened"]).await.unwrap();
    world.store.subscribe("crm", &["test.happened"]).await.unwrap();
    let route = world.store.route_for("test.happened").await.unwrap();
    let (event, node) = (Uuid::now_v7(), Uuid::now_v7());
    let sql = "INSERT INTO system_events (id, type, payload, route_id, owner) VALUES ($1, 'test.happened', $2, $3, $4)";
    world.run(sql, crate::args![event, json!({}), route.id, node]).await.unwrap();
    let sql = "INSERT INTO event_deliveries (event_id, module, state, attempts, available_at, seq)
               SELECT id, 'crm', 'pending', 1, created_at, seq FROM system_events WHERE id = $1";
    world.run(sql, crate::args![event]).await.unwrap();
    let states = async || {
        let sql = "SELECT state FROM deliveries WHERE event_id = $1 ORDER BY module";
        let rows = world.store.fetch_all(sql, crate::args![event]).await.unwrap();
        rows.iter().map(|row| row.get::<String>("state").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["pending", "pending"], "the node has not heard of the ats yet");
    world.run("UPDATE system_events SET owner = NULL WHERE id = $1", crate::args![event]).await.unwrap();
    assert_eq!(states().await, ["acked", "pending"]);
}
