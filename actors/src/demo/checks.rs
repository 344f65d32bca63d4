//! Looks into the tables for every row that must be there, and for those that must not.

use serde::Serialize;
use stentor::audit::EventRecord;
use stentor::{Client, StoreError, Value, args};

use super::are_built;
use super::careers::Careers;
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

/// Makes all checks on what `school` went through. What a module does is left out with it.
pub(super) async fn all(
    client: &Client,
    school: &School,
    graduates: u32,
    careers: &Careers,
    events: &[EventRecord],
) -> Result<Vec<Check>, StoreError> {
    let expected = i64::from(graduates);
    let mut checks = Vec::new();
    for (_, name, sql) in PER_GRADUATE.iter().filter(|(needs, ..)| are_built(needs)) {
        let found = count(client, sql, args![school.emails(Role::Student)]).await?;
        checks.push(Check::count(name, found, expected));
    }
    for (name, sql) in NEVER {
        checks.push(Check::none(name, count(client, sql, args![]).await?));
    }
    checks.extend(after_school(client, careers).await?);
    if are_built(&["notifications"]) {
        checks.push(seniors(client, school).await?);
        checks.push(recruiters(client, school, expected).await?);
        checks.push(admins(client, school).await?);
    }
    checks.push(trail(events));
    Ok(checks)
}

/// What there is exactly once for each graduate, and which modules must have done it.
const PER_GRADUATE: [(&[&str], &str, &str); 6] = [
    (
        &["academy"],
        "every student has a graduation date",
        "SELECT COUNT(*) AS n FROM user_profiles WHERE email LIKE $1 AND student_graduation_date IS NOT NULL",
    ),
    (
        &["academy"],
        "every student graduated from one course, with a final score",
        "SELECT COUNT(*) AS n FROM course_progress c JOIN user_profiles p ON p.id = c.user_id
            WHERE p.email LIKE $1 AND c.graduated_at IS NOT NULL AND c.final_score BETWEEN 60 AND 100",
    ),
    (
        &["ats"],
        "every graduate has the role candidate",
        "SELECT COUNT(*) AS n FROM user_roles u JOIN roles r ON r.id = u.role_id JOIN user_profiles p ON p.id = u.user_id
            WHERE p.email LIKE $1 AND r.name = 'candidate'",
    ),
    (
        &["ats"],
        "every graduate is on the bench, available from some day on, or placed from there",
        "SELECT COUNT(*) AS n FROM user_profiles
            WHERE email LIKE $1 AND candidate_status IN ('bench', 'placed') AND candidate_available_from IS NOT NULL",
    ),
    (
        &["trikala"],
        "every graduate has a place in a pod or on the wait list",
        "SELECT (SELECT COUNT(*) FROM pod_members m JOIN user_profiles p ON p.id = m.user_id WHERE p.email LIKE $1)
            + (SELECT COUNT(*) FROM pod_waitlist w JOIN user_profiles p ON p.id = w.user_id WHERE p.email LIKE $1) AS n",
    ),
    (
        &["companions"],
        "every graduate has a résumé",
        "SELECT COUNT(*) AS n FROM generated_documents d JOIN user_profiles p ON p.id = d.user_id
            WHERE p.email LIKE $1 AND d.template = 'resume'",
    ),
];

/// What there is once for each who was placed, by the job, and which modules must have done it.
const PER_PLACEMENT: [(&[&str], &str, &str); 4] = [
    (
        &["ats"],
        "everyone who was placed has left the bench",
        "SELECT COUNT(*) AS n FROM placements x JOIN user_profiles p ON p.id = x.candidate_id
            WHERE x.job_id = $1 AND p.candidate_status = 'placed'",
    ),
    (
        &["hr"],
        "everyone who was placed is an employee, with title, department and hire date",
        "SELECT COUNT(*) AS n FROM placements x JOIN user_profiles p ON p.id = x.candidate_id
            JOIN user_roles u ON u.user_id = p.id JOIN roles r ON r.id = u.role_id AND r.name = 'employee'
            WHERE x.job_id = $1 AND p.employee_hire_date IS NOT NULL AND p.employee_job_title IS NOT NULL
              AND p.employee_department_id IS NOT NULL",
    ),
    (
        &["trikala"],
        "everyone who was placed is assigned to the client",
        "SELECT COUNT(*) AS n FROM consultant_assignments a JOIN jobs j ON j.id = a.job_id AND j.client_id = a.client_id
            WHERE a.job_id = $1",
    ),
    (
        &["ats", "trikala"],
        "every application that led to a placement is a completed workflow",
        "SELECT COUNT(*) AS n FROM applications a JOIN workflow_instances w ON w.application_id = a.id
            WHERE a.job_id = $1 AND a.status = 'placed' AND w.status = 'completed'",
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

async fn after_school(client: &Client, careers: &Careers) -> Result<Vec<Check>, StoreError> {
    const COMMISSIONS: &str =
        "SELECT COUNT(*) AS n FROM xp_transactions WHERE user_id = $1 AND reason LIKE 'Placement bonus%'";
    const LEADS: &str = "SELECT COUNT(*) AS n FROM opportunity_pipeline
        WHERE user_id = $1 AND type = 'recruiting' AND status = 'new'";
    const REP_TOLD: &str =
        "SELECT COUNT(*) AS n FROM notifications WHERE user_id = $1 AND title = 'New Lead Detected'";
    let placed = i64::try_from(careers.placed.len()).unwrap_or(i64::MAX);
    let mut checks = Vec::new();
    for (_, name, sql) in PER_PLACEMENT.iter().filter(|(needs, ..)| are_built(needs)) {
        checks.push(Check::count(name, count(client, sql, args![careers.job]).await?, placed));
    }
    if are_built(&["achievements"]) {
        let found = count(client, COMMISSIONS, args![careers.recruiter]).await?;
        checks.push(Check::count("the recruiter has points for every placement", found, placed));
    }
    if are_built(&["ai", "crm"]) {
        let found = count(client, LEADS, args![careers.placed.first().copied()]).await?;
        checks.push(Check::count("the lead in the conversation is in the pipeline", found, 1));
    }
    if are_built(&["ai", "crm", "notifications"]) {
        let found = count(client, REP_TOLD, args![careers.recruiter]).await?;
        checks.push(Check::count("the sales rep is told of the lead", found, 1));
    }
    Ok(checks)
}

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
