//! A school on a running bus, on a database of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use stentor::audit::{DeliveryFilter, DeliveryRecord, EventRecord};
use stentor::delivery::DeliveryState;
use stentor::{Bus, BusBuilder, DatabaseKind, Event, Publication, Row, Value, args};
use stentor_actors::chain;
use stentor_actors::school::School;
use tempfile::TempDir;
use uuid::Uuid;

/// Nothing in these tests takes this long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database that goes away with the value.
pub(crate) struct Database {
    pub(crate) url: String,
    crashes: bool,
    _folder: Option<TempDir>,
    server: Option<Server>,
}

struct Server {
    admin_url: String,
    name: String,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite://{}", folder.path().join("school.db").display()),
            crashes: false,
            _folder: Some(folder),
            server: None,
        }
    }

    pub(crate) async fn postgres() -> Self {
        let admin_url = std::env::var("STENTOR_TEST_POSTGRES").expect(
            "STENTOR_TEST_POSTGRES must hold the URL of a PostgreSQL server where databases may be made; run ./scripts/test",
        );
        let name = format!("stentor_{}", Uuid::now_v7().simple());
        run(&admin_url, &format!("CREATE DATABASE {name}")).await;
        let (server, _) = admin_url.rsplit_once('/').expect("an URL with a database's name");
        let url = format!("{server}/{name}");
        Self { url, crashes: false, _folder: None, server: Some(Server { admin_url, name }) }
    }

    /// The first attempt of every delivery is cut short between its effect and its acknowledgement.
    pub(crate) fn with_crashes(mut self) -> Self {
        self.crashes = true;
        self
    }
}

async fn run(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(Server { admin_url, name }) = self.server.take() else { return };
        // On a thread of its own, as a test that failed drops it in the middle of its runtime.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(&admin_url, &format!("DROP DATABASE {name} WITH (FORCE)")));
        });
        dropping.join().unwrap();
    }
}

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::world::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::world::Database::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

/// Runs each test on both databases once more, with the first attempt of every delivery cut short.
macro_rules! with_crashes {
    ($($test:ident),* $(,)?) => {
        mod sqlite_with_crashes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::world::Database::sqlite().with_crashes()).await;
            })*
        }
        mod postgres_with_crashes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::world::Database::postgres().await.with_crashes()).await;
            })*
        }
    };
}
pub(crate) use with_crashes;

/// A school on a running bus.
pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) school: School,
    /// Where the usual modules keep documents.
    #[cfg_attr(
        not(all(feature = "academy", feature = "companions")),
        allow(dead_code, reason = "there are no documents")
    )]
    pub(crate) documents: TempDir,
    database: Database,
}

/// Returns the usual settings, with documents kept in `folder`.
#[cfg_attr(
    not(feature = "companions"),
    allow(unused_mut, unused_variables, reason = "nothing else makes documents")
)]
pub(crate) fn settings(folder: &std::path::Path) -> stentor_actors::Settings {
    let mut settings = stentor_actors::Settings::default();
    #[cfg(feature = "companions")]
    folder.clone_into(&mut settings.companions.folder);
    settings
}

impl World {
    pub(crate) async fn start(database: Database, school: School) -> Self {
        let documents = tempfile::tempdir().unwrap();
        let settings = settings(documents.path());
        let modules = |builder| stentor_actors::modules_with(builder, &settings);
        Self { documents, ..Self::start_with(database, school, modules).await }
    }

    /// Starts with other modules than the usual ones.
    pub(crate) async fn start_with(
        database: Database,
        school: School,
        modules: impl FnOnce(BusBuilder) -> BusBuilder,
    ) -> Self {
        let builder = Bus::builder().database(&database.url).poll_interval(Duration::from_millis(20));
        let bus = modules(builder).start().await.unwrap();
        school.insert(&bus).await.unwrap();
        let world = Self { bus, school, documents: tempfile::tempdir().unwrap(), database };
        if world.database.crashes {
            world.cut_first_attempts_short().await;
        }
        world
    }

    /// Lets every transaction with a first attempt's acknowledgement fail at it: its effects are undone, and it is tried again.
    async fn cut_first_attempts_short(&self) {
        let statements: &[&str] = match self.database.server {
            None => &["CREATE TRIGGER crash BEFORE INSERT ON event_deliveries
                WHEN NEW.state = 'acked' AND NEW.attempts = 1
                BEGIN SELECT RAISE(ABORT, 'cut short between effect and acknowledgement'); END"],
            Some(_) => &[
                "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql
                    AS 'BEGIN RAISE ''cut short between effect and acknowledgement''; END'",
                "CREATE TRIGGER crash BEFORE INSERT ON event_deliveries FOR EACH ROW
                    WHEN (NEW.state = 'acked' AND NEW.attempts = 1) EXECUTE FUNCTION crash()",
            ],
        };
        for statement in statements {
            self.write(statement, args![]).await;
        }
    }

    pub(crate) async fn stop(self) {
        if self.database.crashes {
            let cut = "SELECT COUNT(*) AS n FROM event_deliveries
                WHERE state = 'acked' AND CAST(errors AS TEXT) LIKE '%cut short%'";
            assert!(self.number(cut, args![]).await > 0, "no delivery was cut short");
        }
        self.bus.shutdown(Duration::from_secs(10)).await.unwrap();
    }

    pub(crate) fn student(&self, number: usize) -> Uuid {
        self.school.student_ids().nth(number).unwrap()
    }

    /// Publishes an event and waits until everything that it causes is done. Returns its id.
    pub(crate) async fn happens<E: Event>(&self, event: E) -> Uuid {
        self.all_happen([event]).await[0]
    }

    /// Publishes events at once and waits until everything that they cause is done.
    pub(crate) async fn all_happen<E: Event>(&self, events: impl IntoIterator<Item = E>) -> Vec<Uuid> {
        let chain_id = Uuid::now_v7();
        let events = events.into_iter().map(|event| Publication::new(event).correlation_id(chain_id));
        let receipts = self.bus.publish_all(events).await.unwrap();
        self.settled(chain_id).await;
        receipts.iter().map(stentor::Receipt::id).collect()
    }

    /// Waits until everything in a chain of events is done.
    pub(crate) async fn settled(&self, chain_id: Uuid) {
        let settled = chain::settled(self.bus.client(), chain_id);
        tokio::time::timeout(PATIENCE, settled).await.expect("the chain settles").unwrap();
    }

    /// Publishes an event that no retry can cure in a module, and returns what the module says of it.
    pub(crate) async fn is_parked<E: Event>(&self, event: E, module: &str) -> String {
        let event = self.happens(event).await;
        let delivery = self.delivery(event, module).await;
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 1));
        delivery.errors.to_string()
    }

    /// Delivers an event to a module again, and waits until it has acknowledged it.
    pub(crate) async fn happens_again(&self, event: Uuid, module: &str) {
        assert_eq!(self.bus.client().replay(&[event], module, "a test").await.unwrap(), 1);
        let acked = async {
            while self.delivery(event, module).await.state != DeliveryState::Acked {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, acked).await.expect("the replay is acknowledged");
    }

    /// Delivers an event to a module again, and compares what the tables hold before and after.
    pub(crate) async fn nothing_changes_again(&self, event: Uuid, module: &str) {
        let tally = self.tally().await;
        self.happens_again(event, module).await;
        let now = self.tally().await;
        let changed: Vec<_> = now.symmetric_difference(&tally).collect();
        assert!(changed.is_empty(), "{changed:#?}");
    }

    pub(crate) async fn delivery(&self, event: Uuid, module: &str) -> DeliveryRecord {
        let filter = DeliveryFilter { event_id: Some(event), ..DeliveryFilter::default() };
        let found = self.bus.client().deliveries(&filter, 100).await.unwrap();
        let mut of_module = found.into_iter().filter(|delivery| delivery.module == module);
        of_module.next().expect("the event goes to the module")
    }

    /// Returns all events of a type, oldest first.
    pub(crate) async fn events(&self, event_type: &str) -> Vec<EventRecord> {
        let filter =
            stentor::audit::EventFilter { event_type: Some(event_type.to_owned()), ..Default::default() };
        let mut events = self.bus.client().events(&filter, None, 1_000).await.unwrap().items;
        events.reverse();
        events
    }

    pub(crate) async fn rows(&self, sql: &str, args: Vec<Value>) -> Vec<Row> {
        self.bus.client().fetch_all(sql, args).await.unwrap()
    }

    /// Returns the number `n` in the only row of a query.
    pub(crate) async fn number(&self, sql: &str, args: Vec<Value>) -> i64 {
        self.rows(sql, args).await[0].get("n").unwrap()
    }

    /// Changes the tables, as the application around the modules would.
    pub(crate) async fn write(&self, sql: &str, args: Vec<Value>) {
        let mut transaction = self.bus.begin().await.unwrap();
        transaction.execute(sql, args).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Returns every row of every module's table and the id of every event, to compare before and after.
    pub(crate) async fn tally(&self) -> BTreeSet<String> {
        let kind = self.bus.client().database_kind();
        let mut tally = BTreeSet::new();
        for (table, columns) in self.columns(kind).await {
            for row in self.rows(&dump(kind, &table, &columns), args![]).await {
                tally.insert(format!("{table}: {}", row.get::<String>("line").unwrap()));
            }
        }
        for row in self.rows("SELECT id FROM system_events", args![]).await {
            tally.insert(format!("system_events: {}", row.get::<Uuid>("id").unwrap()));
        }
        tally
    }

    /// Returns the columns of the modules' tables, by table.
    async fn columns(&self, kind: DatabaseKind) -> BTreeMap<String, Vec<String>> {
        let sql = match kind {
            DatabaseKind::Sqlite => {
                "SELECT t.name AS tbl, c.name AS col FROM sqlite_master t, pragma_table_info(t.name) c
                WHERE t.type = 'table'"
            }
            DatabaseKind::Postgres => {
                "SELECT CAST(c.table_name AS TEXT) AS tbl, CAST(c.column_name AS TEXT) AS col
                FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
                WHERE table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
            }
        };
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in self.rows(sql, args![]).await {
            columns.entry(row.get("tbl").unwrap()).or_default().push(row.get("col").unwrap());
        }
        columns.retain(|table, _| !table.starts_with('_') && !table.starts_with("sqlite_"));
        columns.retain(|table, _| !OF_THE_BUS.contains(&table.as_str()));
        assert!(columns.len() > 40, "{columns:?}");
        columns
    }
}

/// Returns options under which a delivery dies on its first failure.
#[cfg(feature = "notifications")]
pub(crate) fn impatient() -> stentor::ModuleOptions {
    stentor::ModuleOptions::default().retry(stentor::RetryPolicy::new().max_attempts(1))
}

/// Tables that are the bus's own.
const OF_THE_BUS: [&str; 6] =
    ["event_deliveries", "event_routes", "modules", "nodes", "subscriptions", "system_events"];

/// Columns that differ although nothing has happened, with their tables.
///
/// Whoever may change the line of those who wait takes a turn first, and then finds nothing to do.
const COUNTERS: [(&str, &str); 1] = [("pod_waitlist_turns", "turns")];

/// Writes the query for all rows of a table as lines of text.
fn dump(kind: DatabaseKind, table: &str, columns: &[String]) -> String {
    let kept = columns.iter().filter(|column| !COUNTERS.contains(&(table, column)));
    let column = |column: &String| match kind {
        DatabaseKind::Sqlite => format!("'{column}=' || quote({column})"),
        DatabaseKind::Postgres => format!("'{column}=' || COALESCE(CAST({column} AS TEXT), 'NULL')"),
    };
    let line = kept.map(column).collect::<Vec<_>>().join(" || ' ' || ");
    format!("SELECT {line} AS line FROM {table}")
}
