//! What must have come of the careers: placements, the goals of pods, and a lead.

use stentor::{StoreError, args};

use super::{Check, Counted, Scene, count, number};
use crate::people::Role;

/// How many candidates a shortlist holds at most.
const SHORTLIST_MAX: i64 = 10;
/// How many placements earn a trophy.
const TROPHY_PLACEMENTS: i64 = 10;

/// What there is once for each who was placed, by the job.
const PER_PLACEMENT: [Counted; 10] = [
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
    (
        &["ats"],
        "everyone who was placed had applied",
        "SELECT COUNT(*) AS n FROM placements x
            JOIN applications a ON a.candidate_id = x.candidate_id AND a.job_id = x.job_id AND a.status = 'placed'
            WHERE x.job_id = $1",
    ),
    (
        &["ats"],
        "everyone who was placed had an interview",
        "SELECT COUNT(*) AS n FROM placements x JOIN interviews i ON i.candidate_id = x.candidate_id
            WHERE x.job_id = $1",
    ),
    (
        &["ats"],
        "every placement is remembered as what ended a stay on the bench",
        "SELECT COUNT(*) AS n FROM bench_departures WHERE job_id = $1",
    ),
    (
        &["hr"],
        "everyone who was placed is employed in the job",
        "SELECT COUNT(*) AS n FROM employments WHERE job_id = $1",
    ),
    (
        &["hr"],
        "every employee has days of annual and of sick leave",
        "SELECT COUNT(*) AS n FROM placements x
            JOIN leave_balances a ON a.user_id = x.candidate_id AND a.kind = 'annual'
            JOIN leave_balances s ON s.user_id = x.candidate_id AND s.kind = 'sick'
            WHERE x.job_id = $1 AND a.days > 0 AND s.days > 0",
    ),
    (
        &["hr"],
        "every employee has the whole onboarding checklist",
        "SELECT COUNT(*) AS n FROM placements x
            WHERE x.job_id = $1 AND (SELECT COUNT(*) FROM onboarding_tasks t WHERE t.user_id = x.candidate_id) = 5",
    ),
];

pub(super) async fn all(scene: &Scene<'_>) -> Result<Vec<Check>, StoreError> {
    let Scene { client, running, careers, .. } = scene;
    let placed = number(careers.placed.len());
    let mut checks = Vec::new();
    for (_, name, sql) in PER_PLACEMENT.iter().filter(|(needs, ..)| running.all(needs)) {
        checks.push(Check::count(name, count(client, sql, args![careers.job]).await?, placed));
    }
    if running.all(&["ats"]) {
        checks.push(shortlist(scene).await?);
    }
    if running.all(&["achievements"]) {
        checks.extend(of_recruiter(scene, placed).await?);
    }
    if running.all(&["ats", "trikala"]) {
        checks.extend(goals(scene).await?);
    }
    checks.extend(lead(scene).await?);
    Ok(checks)
}

async fn shortlist(scene: &Scene<'_>) -> Result<Check, StoreError> {
    const LISTED: &str = "SELECT COUNT(*) AS n FROM job_shortlists WHERE job_id = $1";
    let listed = count(scene.client, LISTED, args![scene.careers.job]).await?;
    Ok(Check::count(
        "the best of the bench are on the job's shortlist",
        listed,
        scene.careers.bench.min(SHORTLIST_MAX),
    ))
}

async fn of_recruiter(scene: &Scene<'_>, placed: i64) -> Result<[Check; 3], StoreError> {
    const COMMISSIONS: &str =
        "SELECT COUNT(*) AS n FROM xp_transactions WHERE user_id = $1 AND reason LIKE 'Placement bonus%'";
    const COUNTED: &str = "SELECT placements AS n FROM recruiter_placements WHERE recruiter_id = $1";
    const TROPHIES: &str = "SELECT COUNT(*) AS n FROM achievements WHERE user_id = $1";
    let of_recruiter = |sql| count(scene.client, sql, args![scene.careers.recruiter]);
    let trophies = i64::from(placed >= TROPHY_PLACEMENTS);
    Ok([
        Check::count(
            "the recruiter has points for every placement",
            of_recruiter(COMMISSIONS).await?,
            placed,
        ),
        Check::count("every placement is counted for the recruiter", of_recruiter(COUNTED).await?, placed),
        Check::count(
            "the recruiter has a trophy for the tenth placement",
            of_recruiter(TROPHIES).await?,
            trophies,
        ),
    ])
}

/// The goals that were achieved, with their pods, by pods whose senior's e-mail is like `$1`.
pub(super) const ACHIEVED_GOALS: &str = "pod_goals g
        JOIN pods ON pods.id = g.pod_id AND g.achieved_at IS NOT NULL
        JOIN user_profiles senior ON senior.id = pods.senior_id AND senior.email LIKE $1";

/// Each pod of the school's had a goal of one placement.
async fn goals(scene: &Scene<'_>) -> Result<Vec<Check>, StoreError> {
    const PODS: &str = "SELECT COUNT(DISTINCT pods.id) AS n FROM pods
        JOIN user_profiles senior ON senior.id = pods.senior_id AND senior.email LIKE $1
        JOIN pod_members m ON m.pod_id = pods.id
        JOIN placements x ON x.candidate_id = m.user_id AND x.job_id = $2";
    let Scene { client, running, school, careers, .. } = scene;
    let seniors = school.emails(Role::Employee);
    let goals = format!("SELECT COUNT(*) AS n FROM {ACHIEVED_GOALS}");
    let advanced = format!("{goals} JOIN goal_advances a ON a.goal_id = g.id");
    let pods = count(client, PODS, args![&seniors, careers.job]).await?;
    let achieved = count(client, &advanced, args![&seniors]).await?;
    let mut checks =
        vec![Check::count("every pod that somebody was placed from achieved its goal", achieved, pods)];
    if running.all(&["achievements"]) {
        let of_members = format!("{goals} JOIN pod_members m ON m.pod_id = pods.id");
        let paid = format!(
            "{of_members} JOIN xp_transactions t ON t.user_id = m.user_id
                AND t.reason = pods.name || ' achieved a goal' AND t.amount > 0"
        );
        let members = count(client, &of_members, args![&seniors]).await?;
        let paid = count(client, &paid, args![&seniors]).await?;
        checks.push(Check::count("every member of such a pod has points for the goal", paid, members));
    }
    Ok(checks)
}

/// Somebody said in the conversation that the own team is hiring.
async fn lead(scene: &Scene<'_>) -> Result<Vec<Check>, StoreError> {
    const FOUND: &str =
        "SELECT COUNT(*) AS n FROM ai_findings f JOIN conversations c ON c.id = f.conversation_id
        WHERE c.user_id = $1 AND c.analysed_at IS NOT NULL AND f.lead_type = 'recruiting'";
    const LEADS: &str = "SELECT COUNT(*) AS n FROM opportunity_pipeline
        WHERE user_id = $1 AND type = 'recruiting' AND status = 'new'";
    let Scene { client, running, careers, .. } = scene;
    let talker = careers.placed.first().copied();
    let mut checks = Vec::new();
    if running.all(&["ai"]) {
        let found = count(client, FOUND, args![talker]).await?;
        checks.push(Check::count("the lead in the conversation is found", found, 1));
    }
    if running.all(&["ai", "crm"]) {
        let found = count(client, LEADS, args![talker]).await?;
        checks.push(Check::count("the lead in the conversation is in the pipeline", found, 1));
    }
    Ok(checks)
}
