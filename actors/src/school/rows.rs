//! The school's rows, inserted many to a statement.

use stentor::{StoreError, Transaction, Value, args};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{ADMINS, COURSES, RECRUITERS, REQUIRED_TOPICS, School, names};
use crate::people::Role;

/// How many rows one statement inserts. With the widest row it stays far below SQLite's 32,766 parameters.
const ROWS_PER_STATEMENT: usize = 1_000;

/// When everybody got the role that the school begins with.
const GRANTED_AT: OffsetDateTime = datetime!(2025-01-01 00:00 UTC);

pub(super) async fn insert(school: &School, tx: &mut Transaction) -> Result<(), StoreError> {
    let people = people(school);
    let profiles = people.iter().enumerate().map(|(number, person)| person.profile(school, number)).collect();
    insert_many(tx, "user_profiles (id, full_name, email)", profiles).await?;
    grant_roles(tx, &people).await?;
    insert_many(tx, "courses (id, title)", courses(school)).await?;
    insert_many(tx, "topics (id, course_id, title, position, required)", topics(school)).await?;
    insert_many(tx, "pods (id, name, senior_id, capacity)", pods(school)).await
}

/// Inserts a conversation of a user's that has not ended: who says what, in order. Returns its id.
///
/// # Errors
///
/// Fails if the database does, or if there is no such user.
pub async fn insert_conversation(
    tx: &mut Transaction,
    user_id: Uuid,
    messages: &[(&str, &str)],
) -> Result<Uuid, StoreError> {
    let id = Uuid::now_v7();
    tx.execute("INSERT INTO conversations (id, user_id) VALUES ($1, $2)", args![id, user_id]).await?;
    let messages = (0_i64..).zip(messages);
    let rows = messages.map(|(position, (author, text))| args![id, position, *author, *text]).collect();
    insert_many(tx, "conversation_messages (conversation_id, position, author, text)", rows).await?;
    Ok(id)
}

struct Person {
    id: Uuid,
    role: Role,
}

impl Person {
    fn profile(&self, school: &School, number: usize) -> Vec<Value> {
        let email = format!("{}-{number}@{}", self.role.as_str(), school.domain());
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        args![self.id, names::person(number), email]
    }
}

fn people(school: &School) -> Vec<Person> {
    let of = |kind: &'static str, role, count| {
        (0..count).map(move |number| Person { id: school.id(kind, number), role })
    };
    of("student", Role::Student, school.students)
        .chain(of("senior", Role::Employee, school.pods))
        .chain(of("recruiter", Role::Recruiter, RECRUITERS))
        .chain(of("admin", Role::Admin, ADMINS))
        .collect()
}

async fn grant_roles(tx: &mut Transaction, people: &[Person]) -> Result<(), StoreError> {
    let rows = tx.fetch_all("SELECT id, name FROM roles", args![]).await?;
    let mut role_ids = Vec::with_capacity(rows.len());
    for row in rows {
        role_ids.push((row.get::<String>("name")?, row.get::<Uuid>("id")?));
    }
    let role_id = |role: Role| role_ids.iter().find(|(name, _)| name == role.as_str()).map(|(_, id)| *id);
    let grants = people.iter().map(|person| args![person.id, role_id(person.role), GRANTED_AT]).collect();
    insert_many(tx, "user_roles (user_id, role_id, granted_at)", grants).await
}

fn courses(school: &School) -> Vec<Vec<Value>> {
    (0..COURSES).map(|course| args![school.id("course", course), names::course(course)]).collect()
}

fn topics(school: &School) -> Vec<Vec<Value>> {
    let of_course = |course| {
        (0..=REQUIRED_TOPICS).map(move |topic| {
            let (id, course_id) = (school.topic(course, topic), school.id("course", course));
            args![id, course_id, names::topic(course, topic), topic, topic < REQUIRED_TOPICS]
        })
    };
    (0..COURSES).flat_map(of_course).collect()
}

fn pods(school: &School) -> Vec<Vec<Value>> {
    let pod = |number| {
        let (id, senior) = (school.id("pod", number), school.id("senior", number));
        args![id, names::pod(number), senior, school.pod_capacity]
    };
    (0..school.pods).map(pod).collect()
}

/// Inserts `rows` into `target`, which names a table and its columns.
async fn insert_many(tx: &mut Transaction, target: &str, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
    let mut rest = rows.into_iter().peekable();
    while rest.peek().is_some() {
        let chunk: Vec<Vec<Value>> = rest.by_ref().take(ROWS_PER_STATEMENT).collect();
        let columns = chunk.first().map_or(0, Vec::len);
        let sql = format!("INSERT INTO {target} VALUES {}", placeholders(chunk.len(), columns));
        tx.execute(&sql, chunk.into_iter().flatten().collect()).await?;
    }
    Ok(())
}

/// Returns `($1, $2), ($3, $4)` for two rows of two columns.
fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let parameters: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", parameters.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn parameters_are_numbered_through_all_rows() {
        assert_eq!(placeholders(2, 2), "($1, $2), ($3, $4)");
    }
}
