//! Looks into the tables for every row that must be there, and for those that must not.

use serde::Serialize;
use stentor::audit::EventRecord;
use stentor::{Client, StoreError, Value, args};

use crate::people::Role;
use crate::school::{ADMINS, RECRUITERS, School};

/// One thing that was looked for, and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What should hold.
    pub name: String,
    /// Whether it does.
    pub ok: bool,
    /// What was found, and what was expected.
    pub detail: String,
}

impl Check {
    fn count(name: &str, found: i64, expected: i64) -> Self {
        Self { name: name.to_owned(), ok: found == expected, detail: format!("{found} of {expected}") }
    }

    fn none(name: &str, found: i64) -> Self {
        Self { name: name.to_owned(), ok: found == 0, detail: format!("{found} found") }
    }
}

/// Makes all checks on what `school` went through.
pub(super) async fn all(
    client: &Client,
    school: &School,
    graduates: u32,
    events: &[EventRecord],
) -> Result<Vec<Check>, StoreError> {
    let students = || args![school.emails(Role::Student)];
    let expected = i64::from(graduates);
    let mut checks = Vec::new();
    for (name, sql) in PER_GRADUATE {
        checks.push(Check::count(name, count(client, sql, students()).await?, expected));
    }
    for (name, sql) in NEVER {
        checks.push(Check::none(name, count(client, sql, args![]).await?));
    }
    checks.push(seniors(client, school).await?);
    checks.push(recruiters(client, school, expected).await?);
    checks.push(admins(client, school).await?);
    checks.push(trail(events));
    Ok(checks)
}

/// What there is exactly once for each graduate.
const PER_GRADUATE: [(&str, &str); 5] = [
    (
        "every student has a graduation date",
        "SELECT COUNT(*) AS n FROM user_profiles WHERE email LIKE $1 AND student_graduation_date IS NOT NULL",
    ),
    (
        "every student graduated from one course, with a final score",
        "SELECT COUNT(*) AS n FROM course_progress c JOIN user_profiles p ON p.id = c.user_id
            WHERE p.email LIKE $1 AND c.graduated_at IS NOT NULL AND c.final_score BETWEEN 60 AND 100",
    ),
    (
        "every graduate has the role candidate",
        "SELECT COUNT(*) AS n FROM user_roles u JOIN roles r ON r.id = u.role_id JOIN user_profiles p ON p.id = u.user_id
            WHERE p.email LIKE $1 AND r.name = 'candidate'",
    ),
    (
        "every graduate is on the bench, available from some day on",
        "SELECT COUNT(*) AS n FROM user_profiles
            WHERE email LIKE $1 AND candidate_status = 'bench' AND candidate_available_from IS NOT NULL",
    ),
    (
        "every graduate has a place in a pod or on the wait list",
        "SELECT (SELECT COUNT(*) FROM pod_members m JOIN user_profiles p ON p.id = m.user_id WHERE p.email LIKE $1)
            + (SELECT COUNT(*) FROM pod_waitlist w JOIN user_profiles p ON p.id = w.user_id WHERE p.email LIKE $1) AS n",
    ),
];

/// What there must not be.
const NEVER: [(&str, &str); 2] = [
    (
        "no pod is over its capacity",
        "SELECT COUNT(*) AS n FROM pods p WHERE (SELECT COUNT(*) FROM pod_members m WHERE m.pod_id = p.id) > p.capacity",
    ),
    (
        "no pod has another number of members than it says",
        "SELECT COUNT(*) AS n FROM pods p WHERE (SELECT COUNT(*) FROM pod_members m WHERE m.pod_id = p.id) <> p.members",
    ),
];

async fn seniors(client: &Client, school: &School) -> Result<Check, StoreError> {
    const JOINED: &str = "SELECT COUNT(*) AS n FROM pod_members m JOIN user_profiles p ON p.id = m.user_id
        WHERE p.email LIKE $1";
    const TOLD: &str = "SELECT COUNT(DISTINCT m.user_id) AS n FROM pod_members m
        JOIN user_profiles p ON p.id = m.user_id
        JOIN pods ON pods.id = m.pod_id
        JOIN notifications n ON n.user_id = pods.senior_id AND n.message = p.full_name || ' joined your pod ' || pods.name
        WHERE p.email LIKE $1";
    let students = school.emails(Role::Student);
    let joined = count(client, JOINED, args![&students]).await?;
    let told = count(client, TOLD, args![&students]).await?;
    Ok(Check::count("every new pod member's senior is told", told, joined))
}

async fn recruiters(client: &Client, school: &School, graduates: i64) -> Result<Check, StoreError> {
    const TOLD: &str = "SELECT COUNT(*) AS n FROM notifications n JOIN user_profiles p ON p.id = n.user_id
        WHERE p.email LIKE $1 AND n.source LIKE 'course.graduated/%'";
    let told = count(client, TOLD, args![school.emails(Role::Recruiter)]).await?;
    let expected = graduates * i64::from(RECRUITERS);
    Ok(Check::count("the whole recruitment team is told of every graduate", told, expected))
}

async fn admins(client: &Client, school: &School) -> Result<Check, StoreError> {
    const WAITING: &str = "SELECT COUNT(*) AS n FROM pod_waitlist w JOIN user_profiles p ON p.id = w.user_id
        WHERE p.email LIKE $1";
    const TOLD: &str = "SELECT COUNT(*) AS n FROM notifications n JOIN user_profiles p ON p.id = n.user_id
        WHERE p.email LIKE $1 AND n.title = 'No Pod Has Room'";
    let waiting = count(client, WAITING, args![school.emails(Role::Student)]).await?;
    let told = count(client, TOLD, args![school.emails(Role::Admin)]).await?;
    let expected = waiting * i64::from(ADMINS);
    Ok(Check::count("every admin is told of everyone who waits", told, expected))
}

fn trail(events: &[EventRecord]) -> Check {
    let done = |event: &&EventRecord| event.processed_at.is_some() && event.error.is_none();
    Check {
        name: "every event is in the audit trail, processed without an error".to_owned(),
        ok: events.iter().all(|event| done(&event)),
        detail: format!("{} of {}", events.iter().filter(done).count(), events.len()),
    }
}

/// Runs a query whose only row has a number `n`.
pub(super) async fn count(client: &Client, sql: &str, args: Vec<Value>) -> Result<i64, StoreError> {
    let rows = client.fetch_all(sql, args).await?;
    rows.first().map_or(Ok(0), |row| row.get("n"))
}
