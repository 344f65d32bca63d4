//! A commit of SQLite's as one command: a thread that is woken for each statement costs more than most statements.

use super::super::connection::Pool;
use super::super::rows::{finish_released, release};
use super::super::sql::Statement;
use super::super::{StoreError, transaction};
use super::encode::json_rows;
use super::spill::spill_all;
use super::{Commit, CommitDone, complete, insert_events_on_sqlite, inserted_on_sqlite};

/// What a commit has none of is an empty list here, which costs next to nothing.
pub(in crate::store) static COMMIT_AT_ONCE: Statement = Statement::new(concat!(
    "BEGIN IMMEDIATE; ",
    insert_events_on_sqlite!(),
    "; ",
    inserted_on_sqlite!(),
    "; ",
    spill_all!("$5", "$6"),
    "; ",
    complete!("$3"),
    "; ",
    release!("$4"),
    "; ",
    finish_released!("$4"),
    "; COMMIT",
));

/// Carries out a commit. What goes wrong in it is rolled back.
pub(super) async fn send(pool: &Pool, commit: &Commit<'_>) -> Result<CommitDone, StoreError> {
    let (events, settlement) = (commit.events.len(), commit.settlement);
    let values = crate::args![
        json_rows(commit),
        commit.node,
        settlement.completed.clone(),
        settlement.released.clone(),
        i64::try_from(events).unwrap_or(i64::MAX),
        commit.spill.all.clone(),
    ];
    let mut connection = pool.acquire().await?;
    let mut rows = match connection.fetch(&COMMIT_AT_ONCE, values).await {
        Ok(rows) => rows,
        Err(error) => {
            transaction::end(connection).await;
            return Err(error.while_committing());
        }
    };
    // First what was inserted, if anything ever was; then what was finished.
    let inserted = rows.iter().take_while(|row| row.get::<i64>("last_seq").is_ok()).count();
    let finished = rows.split_off(inserted);
    let mut done = if events == 0 { CommitDone::nothing() } else { CommitDone::read(&rows, events)? };
    done.finished = finished.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    Ok(done)
}
