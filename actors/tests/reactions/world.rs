//! A school on a running bus, on a database of its own.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use stentor::audit::{DeliveryFilter, DeliveryRecord, EventRecord};
use stentor::delivery::DeliveryState;
use stentor::{Bus, BusBuilder, Event, Publication, Row, Value, args};
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
        assert_eq!(self.tally().await, tally);
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

    /// Returns what the tables hold and how many events there are, to compare before and after.
    pub(crate) async fn tally(&self) -> Vec<(&'static str, i64)> {
        let mut tally = Vec::new();
        for sql in TALLY {
            tally.push((sql, self.number(sql, args![]).await));
        }
        tally
    }
}

/// Returns options under which a delivery dies on its first failure.
#[cfg(feature = "notifications")]
pub(crate) fn impatient() -> stentor::ModuleOptions {
    stentor::ModuleOptions::default().retry(stentor::RetryPolicy::new().max_attempts(1))
}

const TALLY: [&str; 44] = [
    "SELECT COUNT(*) AS n FROM topic_completions",
    "SELECT COUNT(*) AS n FROM quiz_results",
    "SELECT COUNT(*) AS n FROM course_progress WHERE graduated_at IS NOT NULL",
    "SELECT COALESCE(CAST(SUM(topics_completed) AS BIGINT), 0) AS n FROM course_progress",
    "SELECT COUNT(*) AS n FROM user_profiles WHERE student_graduation_date IS NOT NULL",
    "SELECT COUNT(*) AS n FROM user_profiles WHERE candidate_status = 'bench'",
    "SELECT COUNT(*) AS n FROM user_roles",
    "SELECT COUNT(*) AS n FROM pod_members",
    "SELECT COALESCE(CAST(SUM(members) AS BIGINT), 0) AS n FROM pods",
    "SELECT COUNT(*) AS n FROM pod_waitlist",
    "SELECT COUNT(*) AS n FROM job_shortlists",
    "SELECT COUNT(*) AS n FROM applications WHERE status = 'open'",
    "SELECT COUNT(*) AS n FROM applications WHERE status = 'placed'",
    "SELECT COUNT(*) AS n FROM applications WHERE status = 'closed'",
    "SELECT COUNT(*) AS n FROM workflow_instances WHERE status = 'active'",
    "SELECT COUNT(*) AS n FROM workflow_instances WHERE status = 'completed'",
    "SELECT COUNT(*) AS n FROM workflow_instances WHERE status = 'cancelled'",
    "SELECT COUNT(*) AS n FROM interviews",
    "SELECT COUNT(*) AS n FROM placements",
    "SELECT COUNT(*) AS n FROM bench_departures",
    "SELECT COUNT(*) AS n FROM consultant_assignments",
    "SELECT COUNT(*) AS n FROM goal_advances",
    "SELECT COALESCE(CAST(SUM(progress) AS BIGINT), 0) AS n FROM pod_goals",
    "SELECT COUNT(*) AS n FROM pod_goals WHERE achieved_at IS NOT NULL",
    "SELECT COUNT(*) AS n FROM notifications",
    "SELECT COUNT(*) AS n FROM notification_letters",
    "SELECT COUNT(*) AS n FROM notification_letters WHERE sent_at IS NOT NULL",
    "SELECT COALESCE(CAST(SUM(errors) AS BIGINT), 0) AS n FROM error_digests",
    "SELECT COALESCE(CAST(SUM(positions) AS BIGINT), 0) AS n FROM employments",
    "SELECT COUNT(*) AS n FROM user_profiles WHERE employee_hire_date IS NOT NULL",
    "SELECT COALESCE(CAST(SUM(days * 2) AS BIGINT), 0) AS n FROM leave_balances",
    "SELECT COUNT(*) AS n FROM leaves",
    "SELECT COUNT(*) AS n FROM onboarding_tasks",
    "SELECT COUNT(*) AS n FROM timesheets",
    "SELECT COUNT(*) AS n FROM reimbursements",
    "SELECT COUNT(*) AS n FROM xp_transactions",
    "SELECT COALESCE(CAST(SUM(amount) AS BIGINT), 0) AS n FROM xp_transactions",
    "SELECT COALESCE(CAST(SUM(placements) AS BIGINT), 0) AS n FROM recruiter_placements",
    "SELECT COUNT(*) AS n FROM achievements",
    "SELECT COUNT(*) AS n FROM generated_documents",
    "SELECT COUNT(*) AS n FROM ai_findings",
    "SELECT COUNT(*) AS n FROM conversations WHERE analysed_at IS NOT NULL",
    "SELECT COUNT(*) AS n FROM opportunity_pipeline",
    "SELECT COUNT(*) AS n FROM system_events",
];
