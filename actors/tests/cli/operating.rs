//! What an operator does: redrive, cancel, replay, pause, resume, remove.

use std::time::Duration;

use stentor::{Bus, Context, Handle, HandlerError, Module, Receipt, ReplayError, Subscriptions};
use stentor_actors::events::{Example, TimesheetSubmitted};

use crate::binary::Cli;
use crate::world::{Database, on_both_databases};

on_both_databases! {
    dead_letters_are_redriven_and_cancelled,
    a_replay_is_counted_and_confirmed,
    a_replay_to_a_module_that_does_not_subscribe_is_refused,
    doctor_says_how_much_waits_for_a_module_that_is_not_there,
    a_pause_shows_and_ends,
    a_module_that_is_not_there_is_not_found,
}

/// A module that gives up on everything.
struct Grumpy;

impl Module for Grumpy {
    const NAME: &'static str = "grumpy";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<TimesheetSubmitted>();
    }
}

impl Handle<TimesheetSubmitted> for Grumpy {
    async fn handle(&mut self, _: &TimesheetSubmitted, _: &mut Context<'_>) -> Result<(), HandlerError> {
        Err(HandlerError::fatal("not on a\nMonday"))
    }
}

/// A module that subscribes to nothing.
struct Deaf;

impl Module for Deaf {
    const NAME: &'static str = "deaf";

    fn subscriptions(_: &mut Subscriptions<Self>) {}
}

/// Leaves dead letters of the module `grumpy` in the database, and returns their events.
async fn with_dead_letters(database: Database, count: usize) -> (Cli, Vec<String>) {
    let cli = Cli::migrated(database);
    let bus = Bus::builder().database(&cli.database.url).module(|| Grumpy).start().await.unwrap();
    let events = std::iter::repeat_with(TimesheetSubmitted::example).take(count);
    let receipts = bus.publish_all(events).await.unwrap();
    for receipt in &receipts {
        tokio::time::timeout(Duration::from_secs(20), receipt.processed()).await.unwrap().unwrap();
    }
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
    (cli, receipts.iter().map(Receipt::id).map(|id| id.to_string()).collect())
}

fn count(cli: &Cli, state: &str) -> usize {
    let list = cli.json(&["deliveries", "list", "--module", "grumpy", "--state", state]);
    list.as_array().unwrap().len()
}

async fn dead_letters_are_redriven_and_cancelled(database: Database) {
    let (cli, ids) = with_dead_letters(database, 3).await;
    assert_eq!(count(&cli, "dead"), 3);
    let table = cli.succeeds(&["deliveries", "list", "--state", "dead", "--type", "timesheet.submitted"]);
    assert!(table.contains("not on a Monday"), "{table}");
    assert!(cli.succeeds(&["events", "show", &ids[0]]).contains("grumpy attempt 1, fatal: not on a Monday"));
    assert_eq!(cli.json(&["events", "list", "--state", "failed"]).as_array().unwrap().len(), 3);
    assert_eq!(cli.json(&["deliveries", "redrive", &ids[0], "grumpy"])["redriven"], 1);
    assert_eq!((count(&cli, "dead"), count(&cli, "pending")), (2, 1));
    cli.fails(&["deliveries", "redrive", &ids[0], "grumpy"], 3, &[&ids[0], "grumpy"]);
    cli.fails(&["deliveries", "redrive", "--module", "grumpy"], 2, &["2 deliveries", "--yes"]);
    assert_eq!(count(&cli, "dead"), 2);
    let none = ["deliveries", "redrive", "--module", "grumpy", "--type", "topic.completed", "--yes"];
    assert_eq!(cli.json(&none)["redriven"], 0);
    assert_eq!(cli.json(&["deliveries", "redrive", "--module", "grumpy", "--yes"])["redriven"], 2);
    assert_eq!(cli.json(&["deliveries", "cancel", &ids[1], "grumpy"])["cancelled"], 1);
    cli.fails(&["deliveries", "cancel", "--module", "grumpy"], 2, &["2 deliveries", "--yes"]);
    assert_eq!(cli.json(&["deliveries", "cancel", "--module", "grumpy", "--yes"])["cancelled"], 2);
    assert_eq!(count(&cli, "cancelled"), 3);
}

async fn a_replay_is_counted_and_confirmed(database: Database) {
    let (cli, ids) = with_dead_letters(database, 2).await;
    let all = ["replay", "--type", "timesheet.submitted", "--since", "1h", "--module", "grumpy"];
    assert_eq!(cli.json(&[&all[..], &["--dry-run"]].concat())["would_replay"], 2);
    cli.fails(&all, 2, &["2 events", "grumpy", "--yes"]);
    assert_eq!(count(&cli, "pending"), 0);
    let one = ["replay", "--event", &ids[0], "--module", "grumpy", "--reason", "the rule was wrong"];
    assert_eq!(cli.json(&one)["replayed"], 1);
    assert!(cli.succeeds(&["events", "show", &ids[0]]).contains("the rule was wrong"));
    assert_eq!(cli.json(&[&all[..], &["--yes"]].concat())["replayed"], 1);
    assert_eq!(count(&cli, "pending"), 2);
    let unprocessed = cli.publish();
    cli.fails(
        &["replay", "--event", &unprocessed, "--module", "grumpy"],
        1,
        &[&unprocessed, "not processed yet"],
    );
    let absent = "01900000-0000-7000-8000-000000000001";
    cli.fails(&["replay", "--event", absent, "--module", "grumpy"], 3, &[absent]);
}

async fn a_replay_to_a_module_that_does_not_subscribe_is_refused(database: Database) {
    let (cli, ids) = with_dead_letters(database, 1).await;
    let bus = Bus::builder().database(&cli.database.url).module(|| Deaf).start().await.unwrap();
    let event = ids[0].parse().unwrap();
    let refused = bus.client().replay(&[event], "deaf", "a test").await;
    assert!(matches!(refused, Err(ReplayError::NotSubscribed { .. })), "{refused:?}");
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
    let words = ["deaf", "does not subscribe to timesheet.submitted"];
    let one = ["replay", "--event", &ids[0], "--module", "deaf"];
    let all = ["replay", "--type", "timesheet.submitted", "--module", "deaf"];
    for args in [&one[..], &all] {
        for flag in ["--yes", "--dry-run"] {
            cli.fails(&[args, &[flag]].concat(), 2, &words);
        }
    }
    let deaf = cli.json(&["deliveries", "list", "--module", "deaf"]);
    assert_eq!(deaf, serde_json::json!([]));
}

async fn doctor_says_how_much_waits_for_a_module_that_is_not_there(database: Database) {
    let (cli, ids) = with_dead_letters(database, 1).await;
    cli.succeeds(&["deliveries", "redrive", &ids[0], "grumpy"]);
    let orphans = || {
        let table = cli.run(&["doctor"]).out;
        table.lines().find(|line| line.starts_with("orphaned subscriptions")).unwrap().to_owned()
    };
    let line = orphans();
    for words in [
        "warning",
        "grumpy (deliveries waiting: 1): switched off or not in this build",
        "`modules remove NAME`",
        "cancels what waits for it",
    ] {
        assert!(line.contains(words), "{words:?} is not in {line:?}");
    }
    cli.succeeds(&["modules", "remove", "grumpy"]);
    assert!(orphans().ends_with("none"));
}

async fn a_pause_shows_and_ends(database: Database) {
    let (cli, _) = with_dead_letters(database, 1).await;
    let show = || cli.json(&["modules", "show", "grumpy"]);
    assert_eq!((&show()["paused_at"], &show()["dead"]), (&serde_json::Value::Null, &1.into()));
    cli.succeeds(&["modules", "pause", "grumpy"]);
    let since = show()["paused_at"].clone();
    assert!(since.is_string());
    cli.succeeds(&["modules", "pause", "grumpy"]);
    assert_eq!(show()["paused_at"], since, "a second pause keeps the first one's time");
    cli.succeeds(&["modules", "resume", "grumpy"]);
    assert!(show()["paused_at"].is_null());
    assert!(cli.succeeds(&["modules", "list"]).contains("timesheet.submitted"));
    cli.succeeds(&["modules", "remove", "grumpy"]);
    assert_eq!(cli.json(&["modules", "list"]), serde_json::json!([]));
}

async fn a_module_that_is_not_there_is_not_found(database: Database) {
    let cli = Cli::migrated(database);
    for verb in ["show", "pause", "resume", "remove"] {
        cli.fails(&["modules", verb, "nobody"], 3, &["nobody", "modules list"]);
    }
    cli.fails(&["replay", "--type", "topic.completed", "--module", "nobody", "--yes"], 3, &["nobody"]);
}
