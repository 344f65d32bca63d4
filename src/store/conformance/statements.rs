//! Every statement of the bus is known here, and each database takes it.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};

use super::{World, on_both_databases};
use crate::store::sql::Statement;
use crate::store::{
    DatabaseKind, audit, claims, commit, health, modules, nodes, operate, outbox, retention, routes, rows,
    stats,
};

on_both_databases!(every_statement_prepares);

const STATEMENTS: &[&Statement] = &[
    &audit::EVENTS,
    &audit::EVENTS_OF_TYPE,
    &audit::EVENTS_OF_CHAIN,
    &audit::FAILED_EVENTS,
    &audit::FAILED_EVENTS_OF_TYPE,
    &audit::EVENT,
    &audit::CHAIN,
    &audit::DELIVERIES_OF_EVENT,
    &audit::DELIVERIES,
    &claims::DUE,
    &claims::DUE_IN_ORDER,
    &claims::TAKE,
    &claims::GIVE_BACK,
    &claims::HELD_KEYS,
    &claims::POLL,
    &claims::ALONE,
    &commit::INSERT_FEW,
    &commit::INSERT_EVENTS,
    &commit::INSERTED,
    &commit::command::COMMIT_AT_ONCE,
    &commit::COMPLETE,
    &commit::INSERT_EVENTS_AND_ROWS,
    &commit::spill::SPILL,
    &commit::spill::SPILL_ALL,
    &commit::STORED,
    &health::SERVER,
    &health::LIVE_NODES,
    &health::STANDING_STILL,
    &modules::PAUSE,
    &modules::RESUME,
    &modules::IS_PAUSED,
    &modules::LEASE,
    &modules::END_LEASE,
    &modules::REMOVE,
    &modules::MODULES,
    &modules::PROCESSED,
    &nodes::REGISTER,
    &nodes::BEAT,
    &nodes::LEASES,
    &nodes::ADOPT_ROWS,
    &nodes::ORPHANS,
    &nodes::STILL_OWNED,
    &nodes::RELEASE_ADOPTED,
    &nodes::FREE_ROWS,
    &nodes::BURY,
    &nodes::LEAVE,
    &nodes::LEAVE_LEASES,
    &operate::REDRIVE,
    &operate::CANCEL,
    &operate::REPLAYABLE,
    &operate::UNSUBSCRIBED,
    &operate::REPLAY,
    &outbox::INSERT,
    &outbox::UNROUTED,
    &outbox::SET_ROUTE,
    &routes::ADD_MODULE,
    &routes::DROP_SUBSCRIPTIONS,
    &routes::ADD_SUBSCRIPTION,
    &routes::SUBSCRIPTIONS,
    &routes::SUBSCRIBERS,
    &rows::WRITE_ROWS,
    &rows::CHANGE_ROWS,
    &rows::LOCK_EVENTS,
    &rows::FINISH,
    &rows::RELEASE,
    &rows::FINISH_RELEASED,
    &rows::RECEIPTS_LIVE,
    &rows::RECEIPTS_CLAIMED,
    &retention::PRUNE,
    &retention::PRUNABLE,
    &stats::TYPES,
    &stats::MODULES,
    &routes::ROUTED_TYPES,
    &routes::ADD_ROUTE,
    &routes::FIND_ROUTE,
];

async fn every_statement_prepares(world: &World) {
    let kind = world.store.database_kind();
    let mut refused = Vec::new();
    for statement in STATEMENTS.iter().chain(crate::store::testing::STATEMENTS).copied() {
        // Each has its own ways to tell what was inserted.
        let for_others: &[*const Statement] = match kind {
            DatabaseKind::Postgres => &[
                &raw const commit::INSERTED,
                &raw const commit::command::COMMIT_AT_ONCE,
                &raw const commit::INSERT_FEW,
                &raw const commit::spill::SPILL_ALL,
            ],
            DatabaseKind::Sqlite => &[&raw const commit::INSERT_EVENTS_AND_ROWS],
        };
        if for_others.contains(&std::ptr::from_ref(statement)) {
            continue;
        }
        let text = statement.text(kind);
        let prepared = match kind {
            DatabaseKind::Sqlite => {
                let mut connection = SqliteConnection::connect(&world.url).await.expect("a connection");
                connection.prepare(AssertSqlSafe(text).into_sql_str()).await.map(drop)
            }
            DatabaseKind::Postgres => {
                let mut connection = PgConnection::connect(&world.url).await.expect("a connection");
                connection.prepare(AssertSqlSafe(text).into_sql_str()).await.map(drop)
            }
        };
        let Err(error) = prepared else { continue };
        // The bus tells the types of parameters that nothing in the text tells; PostgreSQL asks
        // for them at the end, when it has found nothing else wrong.
        if !error.to_string().contains("could not determine data type of parameter") {
            refused.push(format!("{error}\n{text}\n"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn the_list_of_statements_is_complete() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = [folder.clone(), folder.join("commit")].map(|folder| std::fs::read_dir(folder).unwrap());
    let declared: usize = files
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).unwrap())
        .map(|source| source.matches(": Statement =").count())
        .sum();
    assert_eq!(declared, STATEMENTS.len() + crate::store::testing::STATEMENTS.len());
}
