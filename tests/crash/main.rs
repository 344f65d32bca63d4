//! The process is killed under load at random moments, started again, and nothing is lost or done twice.
//!
//! The harness keeps its own book outside the database: one line for each
//! publish that returned, one for each event that a handler saw.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod book;
mod child;
mod reader;
#[expect(dead_code, reason = "the child builds its own bus")]
#[path = "../common/world.rs"]
mod world;

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use book::{Book, Verdict};
use child::{Fault, MODE, Mode};
use world::{Kind, World};

/// Kills on each database, unless `STENTOR_CRASHES` says otherwise.
const CRASHES: u32 = 50;

#[test]
fn child() {
    // The process that is killed: this very program, told so by its environment.
    if let Some(mode) = Mode::from_environment() {
        child::run(mode);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_done_twice_on_sqlite() {
    let world = World::new(Kind::Sqlite).await;
    assert_eq!(crash(&world, Fault::None, crashes()).await, Verdict::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_done_twice_on_postgres() {
    let world = World::new(Kind::Postgres).await;
    assert_eq!(crash(&world, Fault::None, crashes()).await, Verdict::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harness_catches_a_publish_that_is_acknowledged_before_its_commit() {
    let world = World::new(Kind::Sqlite).await;
    let verdict = crash(&world, Fault::AckBeforeCommit, 6).await;
    assert!(verdict.lost > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harness_catches_an_effect_without_a_receipt() {
    let world = World::new(Kind::Postgres).await;
    let verdict = crash(&world, Fault::EffectWithoutReceipt, 12).await;
    assert!(verdict.doubled > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harness_catches_a_reader_of_numbers_that_passes_over_what_commits_late() {
    let world = World::new(Kind::Postgres).await;
    let verdict = crash(&world, Fault::SeqReader, 3).await;
    assert!(verdict.missing > 0, "{verdict:?}");
}

fn crashes() -> u32 {
    std::env::var("STENTOR_CRASHES")
        .map_or(CRASHES, |text| text.parse().expect("STENTOR_CRASHES is a number"))
}

/// Kills the child `times` times, lets it finish, and judges what is left.
async fn crash(world: &World, fault: Fault, times: u32) -> Verdict {
    let book = Book::new();
    let mut late = 0;
    let mut acked = HashSet::new();
    for round in 0..times {
        let mut child = spawn(world, &book, Mode::Load { round, fault });
        book.wait_for_start(round, &mut child).await;
        // The moment of the crash is the one thing here that is meant to be a matter of chance.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..350))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        late += book.handled_in(round).intersection(&acked).count();
        acked.extend(book::acked(world).await);
    }
    let status = spawn(world, &book, Mode::Finish { round: times, fault }).wait().unwrap();
    assert!(status.success(), "the last run works everything off");
    late += book.handled_in(times).intersection(&acked).count();
    Verdict { late, ..book::judge(world, &book).await }
}

fn spawn(world: &World, book: &Book, mode: Mode) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(MODE, serde_json::to_string(&mode).unwrap())
        .env("STENTOR_CRASH_URL", &world.url)
        .env("STENTOR_CRASH_BOOK", book.folder())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}
