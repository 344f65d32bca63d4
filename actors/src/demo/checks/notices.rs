//! Who must have been told what.

use stentor::{Event, StoreError, args};

use super::careers::ACHIEVED_GOALS;
use super::{Check, Scene, count, number};
use crate::events::NotificationSend;
use crate::people::Role;
use crate::school::{ADMINS, RECRUITERS};

/// Makes the checks on what [`crate::events::NotificationSend`] and the occasions made of it.
pub(super) async fn all(scene: &Scene<'_>, graduates: i64) -> Result<Vec<Check>, StoreError> {
    let running = &scene.running;
    let placed = number(scene.careers.placed.len());
    let mut checks = vec![
        recruiters(scene, graduates).await?,
        seniors(scene).await?,
        admins(scene).await?,
        interviews(scene, placed).await?,
    ];
    if running.all(&["hr"]) {
        checks.push(hired(scene, placed).await?);
    }
    if running.all(&["ats", "trikala"]) {
        checks.push(goals(scene).await?);
    }
    if running.all(&["achievements"]) {
        checks.push(trophy(scene).await?);
    }
    if running.all(&["ai", "crm"]) {
        checks.push(sales_rep(scene).await?);
    }
    Ok(checks)
}

async fn seniors(scene: &Scene<'_>) -> Result<Check, StoreError> {
    const JOINED: &str = "SELECT COUNT(*) AS n FROM pod_members m JOIN user_profiles p ON p.id = m.user_id
        WHERE p.email LIKE $1";
    const TOLD: &str = "SELECT COUNT(DISTINCT m.user_id) AS n FROM pod_members m
        JOIN user_profiles p ON p.id = m.user_id
        JOIN pods ON pods.id = m.pod_id
        JOIN notifications n ON n.user_id = pods.senior_id AND n.message = p.full_name || ' joined your pod ' || pods.name
        WHERE p.email LIKE $1";
    let Scene { client, school, .. } = scene;
    let students = school.emails(Role::Student);
    let joined = count(client, JOINED, args![&students]).await?;
    let told = count(client, TOLD, args![&students]).await?;
    Ok(Check::count("every new pod member's senior is told", told, joined))
}

async fn recruiters(scene: &Scene<'_>, graduates: i64) -> Result<Check, StoreError> {
    const TOLD: &str = "SELECT COUNT(*) AS n FROM notifications n JOIN user_profiles p ON p.id = n.user_id
        WHERE p.email LIKE $1 AND n.source LIKE 'course.graduated/%'";
    let told = count(scene.client, TOLD, args![scene.school.emails(Role::Recruiter)]).await?;
    let expected = graduates * i64::from(RECRUITERS);
    Ok(Check::count("the whole recruitment team is told of every graduate", told, expected))
}

async fn admins(scene: &Scene<'_>) -> Result<Check, StoreError> {
    const WAITING: &str = "SELECT COUNT(*) AS n FROM pod_waitlist w JOIN user_profiles p ON p.id = w.user_id
        WHERE p.email LIKE $1";
    const TOLD: &str = "SELECT COUNT(*) AS n FROM notifications n JOIN user_profiles p ON p.id = n.user_id
        WHERE p.email LIKE $1 AND n.title = 'No Pod Has Room'";
    let Scene { client, school, .. } = scene;
    let waiting = count(client, WAITING, args![school.emails(Role::Student)]).await?;
    let told = count(client, TOLD, args![school.emails(Role::Admin)]).await?;
    let expected = waiting * i64::from(ADMINS);
    Ok(Check::count("every admin is told of everyone who waits", told, expected))
}

async fn interviews(scene: &Scene<'_>, placed: i64) -> Result<Check, StoreError> {
    const CANDIDATES: &str =
        "SELECT COUNT(*) AS n FROM placements x JOIN notifications n ON n.user_id = x.candidate_id
        WHERE x.job_id = $1 AND n.title = 'Interview Scheduled'";
    const TEAM: &str = "SELECT COUNT(*) AS n FROM notifications n JOIN user_profiles p ON p.id = n.user_id
        WHERE p.email LIKE $1 AND n.title = 'Interview Scheduled'";
    let Scene { client, school, careers, .. } = scene;
    let candidates = count(client, CANDIDATES, args![careers.job]).await?;
    let team = count(client, TEAM, args![school.emails(Role::Recruiter)]).await?;
    let expected = placed * (1 + i64::from(RECRUITERS));
    Ok(Check::count("candidates and recruiters are told of every interview", candidates + team, expected))
}

async fn hired(scene: &Scene<'_>, placed: i64) -> Result<Check, StoreError> {
    const TOLD: &str =
        "SELECT COUNT(*) AS n FROM placements x JOIN notifications n ON n.user_id = x.candidate_id
        WHERE x.job_id = $1 AND n.source LIKE 'employee.hired/%'";
    let told = count(scene.client, TOLD, args![scene.careers.job]).await?;
    Ok(Check::count("everyone who was hired is told", told, placed))
}

async fn goals(scene: &Scene<'_>) -> Result<Check, StoreError> {
    let seniors = scene.school.emails(Role::Employee);
    let people = format!(
        "SELECT COUNT(*) AS n FROM (SELECT pods.senior_id AS user_id FROM {ACHIEVED_GOALS}
            UNION ALL SELECT m.user_id FROM {ACHIEVED_GOALS} JOIN pod_members m ON m.pod_id = pods.id) AS pod"
    );
    let told =
        format!("{people} JOIN notifications n ON n.user_id = pod.user_id AND n.title = 'Goal Achieved'");
    let expected = count(scene.client, &people, args![&seniors]).await?;
    let told = count(scene.client, &told, args![&seniors]).await?;
    Ok(Check::count("the whole pod is told of its goal", told, expected))
}

async fn trophy(scene: &Scene<'_>) -> Result<Check, StoreError> {
    const EARNED: &str = "SELECT COUNT(*) AS n FROM achievements WHERE user_id = $1";
    const TOLD: &str =
        "SELECT COUNT(*) AS n FROM notifications WHERE user_id = $1 AND title = 'Achievement Earned'";
    let of_recruiter = |sql| count(scene.client, sql, args![scene.careers.recruiter]);
    let (told, earned) = (of_recruiter(TOLD).await?, of_recruiter(EARNED).await?);
    Ok(Check::count("the recruiter is told of every trophy", told, earned))
}

/// Whoever gets leads of this type in the database, the demo's own recruiter or not.
async fn sales_rep(scene: &Scene<'_>) -> Result<Check, StoreError> {
    const TOLD: &str = "SELECT COUNT(*) AS n FROM notifications WHERE source = $1 AND user_id = (
            SELECT user_id FROM sales_reps WHERE lead_type IN ('recruiting', 'default')
            ORDER BY lead_type = 'default' LIMIT 1)";
    let letters = scene.events.iter().filter(|event| event.event_type == NotificationSend::TYPE);
    let mut told = 0;
    for letter in letters.filter(|letter| letter.payload["title"] == "New Lead Detected") {
        let source = format!("{}/{}", NotificationSend::TYPE, letter.id);
        told += count(scene.client, TOLD, args![source]).await?;
    }
    Ok(Check::count("the sales rep is told of the lead", told, 1))
}
