//! Databases that cannot be used: which is said, with the exit code for it.

use sqlx::{Connection, Executor};

use crate::binary::{Cli, payload};
use crate::world::{Database, on_both_databases};

on_both_databases! {
    the_schema_must_be_this_builds,
    migrations_are_listed_and_run_once,
}

async fn the_schema_must_be_this_builds(database: Database) {
    let cli = Cli::new(database);
    if cli.database.url.starts_with("postgres") {
        cli.fails(&["events", "list"], 1, &["not up to date", "migrate up"]);
    }
    cli.succeeds(&["migrate", "up"]);
    cli.succeeds(&["events", "list"]);
    sql(&cli.database.url, "INSERT INTO _stentor_migrations (version, name) VALUES (99, 'later')").await;
    for args in [&["events", "list"] as &[&str], &["migrate", "up"], &["migrate", "status"], &["serve"]] {
        cli.fails(args, 1, &["99", "newer build"]);
    }
    sql(&cli.database.url, "DELETE FROM _stentor_migrations").await;
    cli.fails(&["events", "list"], 1, &["not up to date", "migrate up"]);
}

async fn migrations_are_listed_and_run_once(database: Database) {
    let cli = Cli::new(database);
    let first = cli.json(&["migrate", "up"]);
    assert!(first["applied"].as_i64().unwrap() > 1);
    assert_eq!(cli.json(&["migrate", "up"])["applied"], 0);
    let status = cli.json(&["migrate", "status"]);
    assert_eq!(status.as_array().unwrap().len() as i64, first["applied"].as_i64().unwrap());
    assert!(status.as_array().unwrap().iter().all(|step| step["applied_at"].is_string()), "{status}");
    assert_eq!((&status[0]["schema"], &status[0]["version"]), (&"stentor".into(), &1.into()));
    assert!(cli.succeeds(&["migrate", "status", "--show-sql"]).contains("CREATE TABLE system_events"));
    assert_eq!(cli.succeeds(&["migrate", "up", "--show-sql"]).trim(), "");
}

async fn sql(url: &str, text: &'static str) {
    if url.starts_with("postgres") {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        connection.execute(text).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        connection.execute(text).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[test]
fn a_database_that_is_not_there_is_not_made_by_looking_at_it() {
    let cli = Cli::new(Database::sqlite());
    for args in [
        &["events", "list"] as &[&str],
        &["modules", "list"],
        &["migrate", "status"],
        &["publish", "topic.completed", &payload("topic.completed")],
    ] {
        cli.fails(args, 4, &["cannot be reached", "migrate up"]);
    }
    let path = cli.database.url.strip_prefix("sqlite://").unwrap();
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn a_database_that_cannot_be_reached_has_its_own_exit_code() {
    let cli = Cli::new(Database::sqlite());
    cli.fails(
        &["--database", "sqlite:///no/such/folder/x.db", "migrate", "up"],
        4,
        &["/no/such/folder/x.db"],
    );
    // Nothing listens on port 1.
    let nobody = "postgres://me:s3cret@127.0.0.1:1/none";
    let outcome = cli.run(&["--database", nobody, "events", "list"]);
    outcome.is_failure(&[], 4, &["127.0.0.1:1", "--database"]);
    assert!(!outcome.err.contains("s3cret"), "{outcome:?}");
    cli.fails(&["--database", "mysql://x", "events", "list"], 2, &["mysql://x", "sqlite://PATH"]);
    cli.file("letter.txt", &"Dear reader, this is no database. ".repeat(100));
    cli.fails(&["--database", "sqlite://letter.txt", "events", "list"], 4, &["not a database"]);
}

#[test]
fn a_database_that_may_only_be_read_refuses_events() {
    let cli = Cli::migrated(Database::sqlite());
    let url = format!("{}?mode=ro", cli.database.url);
    let outcome = cli.run(&["--database", &url, "publish", "topic.completed", &payload("topic.completed")]);
    assert!([1, 4].contains(&outcome.code) && outcome.err.contains("readonly"), "{outcome:?}");
    assert!(cli.stored().is_empty());
}

#[test]
fn the_flag_wins_over_the_environment_and_that_over_the_file() {
    let cli = Cli::migrated(Database::sqlite());
    cli.publish();
    cli.file("stentor.toml", "[database]\nurl = 'sqlite://file.db'\n");
    assert_eq!(cli.stored().len(), 1);
    cli.succeeds(&["migrate", "up", "--database", "sqlite://flag.db"]);
    assert_eq!(cli.json(&["events", "list", "--database", "sqlite://flag.db"]), serde_json::json!([]));
    let alone = cli.command(&["events", "list"]).env_remove("DATABASE_URL").output().unwrap();
    assert!(String::from_utf8_lossy(&alone.stderr).contains("file.db"));
    cli.file("own.env", "DATABASE_URL=sqlite://flag.db\n");
    let mut with_file = cli.command(&["--env-file", "own.env", "events", "list", "-o", "jsonl"]);
    let with_file = with_file.env_remove("DATABASE_URL").output().unwrap();
    assert!(with_file.status.success() && with_file.stdout.is_empty());
}
