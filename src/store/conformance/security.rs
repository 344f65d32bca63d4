//! Row-level security on PostgreSQL, with real roles.

use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection, Row as _};

use super::World;

/// Runs `sql` as `role`, and returns the number that it yields.
async fn count_as(connection: &mut PgConnection, role: &str, sql: &str) -> Result<i64, sqlx::Error> {
    connection.execute(AssertSqlSafe(format!("SET ROLE {role}"))).await?;
    let result = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await;
    connection.execute("RESET ROLE").await?;
    Ok(result?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_read_events_and_any_role_may_be_let_publish() {
    let world = World::postgres().await;
    let mut connection = PgConnection::connect(&world.url).await.expect("a connection");
    let name = world.url.rsplit_once('/').expect("a name").1;
    // Roles belong to the whole server: theirs are the test's own names. The bus is no superuser here,
    // as superusers pass by row-level security.
    let (owner, reader, app) = (format!("{name}_owner"), format!("{name}_reader"), format!("{name}_app"));
    for role in [&owner, &reader, &app] {
        connection.execute(AssertSqlSafe(format!("CREATE ROLE {role}"))).await.expect("a role");
    }
    let sql = format!(
        "GRANT CREATE ON SCHEMA public TO {owner};
         ALTER TABLE system_events OWNER TO {owner};
         GRANT SELECT ON system_events TO {reader};
         GRANT INSERT (type, payload) ON system_events TO {app}"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("grants");
    let insert = "INSERT INTO system_events (type, payload) VALUES ('test.happened', '{}') RETURNING seq";
    let plain = "INSERT INTO system_events (type, payload) VALUES ('test.happened', '{}')";
    connection.execute(AssertSqlSafe(format!("SET ROLE {app}"))).await.expect("the role");
    connection.execute(plain).await.expect("an application publishes");
    connection.execute("RESET ROLE").await.expect("back");
    assert!(count_as(&mut connection, &app, insert).await.is_err(), "it cannot read back what it wrote");
    let count = "SELECT count(*) FROM system_events";
    assert_eq!(count_as(&mut connection, &reader, count).await.expect("allowed"), 0, "a reader sees nothing");
    assert_eq!(count_as(&mut connection, "stentor_admin", count).await.expect("allowed"), 1);
    assert_eq!(
        count_as(&mut connection, &owner, count).await.expect("allowed"),
        0,
        "FORCE binds the owner too"
    );
    let clean = format!(
        "ALTER TABLE system_events OWNER TO CURRENT_USER; DROP OWNED BY {owner}, {reader}, {app}; DROP ROLE {owner}, {reader}, {app}"
    );
    sqlx::raw_sql(AssertSqlSafe(clean)).execute(&mut connection).await.expect("the roles go");
    connection.close().await.expect("closed");
    world.close().await;
}
