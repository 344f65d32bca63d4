//! A database of its own for each test, on SQLite or PostgreSQL.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stentor::{Bus, BusBuilder};
use tempfile::TempDir;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A database that is gone when the test is over.
pub(crate) struct World {
    pub(crate) url: String,
    folder: Option<TempDir>,
    postgres: Option<(String, String)>,
}

impl World {
    pub(crate) async fn new(kind: Kind) -> Self {
        // Shown only when a test fails.
        tracing_subscriber::fmt().with_test_writer().try_init().ok();
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite://{}", folder.path().join("bus.db").display());
                Self { url, folder: Some(folder), postgres: None }
            }
            Kind::Postgres => {
                let admin = std::env::var("STENTOR_TEST_POSTGRES")
                    .expect("STENTOR_TEST_POSTGRES must name a PostgreSQL server; ./scripts/test starts one");
                let name = format!("stentor_{}", uuid::Uuid::now_v7().simple());
                let mut connection = PgConnection::connect(&admin).await.expect("the PostgreSQL server");
                sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .execute(&mut connection)
                    .await
                    .expect("a database");
                let (server, _) = admin.rsplit_once('/').expect("a database in the address");
                Self { url: format!("{server}/{name}"), folder: None, postgres: Some((admin, name)) }
            }
        }
    }

    /// A builder with times short enough for a test.
    pub(crate) fn builder(&self) -> BusBuilder {
        Bus::builder()
            .database(&self.url)
            .lease(Duration::from_millis(900))
            .poll_interval(Duration::from_millis(20))
    }

    pub(crate) fn path(&self) -> Option<std::path::PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("bus.db"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Some((admin, name)) = self.postgres.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&admin).await.expect("the PostgreSQL server");
                let sql = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                sqlx::query(sql).execute(&mut connection).await.expect("the database goes");
            });
        });
        dropping.join().expect("the database is dropped");
    }
}

/// Fails the test if `future` takes longer than any of its waits can rightly take.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("the wait ends")
}

/// Makes one test a database of `$body`, an `async fn(World)`.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::$name($crate::world::World::new($crate::world::Kind::Sqlite).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::$name($crate::world::World::new($crate::world::Kind::Postgres).await).await;
            })*
        }
    };
}
