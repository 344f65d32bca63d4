//! What comes after school: a client posts a job, graduates apply and are placed,
//! and somebody says in a conversation what else we could do for them.

use std::time::Duration;

use stentor::{Bus, Publication, StoreError, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::checks::count;
use super::{DemoError, settle};
use crate::events::{
    ApplicationSubmitted, CandidatePlaced, ConversationEnded, InterviewScheduled, JobPosted,
};
use crate::people::{NOTICE, Role};
use crate::school::{School, insert_conversation};

/// One of so many graduates is placed, and at least one.
const PLACED_ONE_OF: u32 = 5;
/// The most that are placed.
const PLACED_MAX: u32 = 1_000;
/// What each of them earns in a year, in whole currency units.
const SALARY: i64 = 85_000;

/// What the conversation is made of: who says what.
const CONVERSATION: [(&str, &str); 3] = [
    ("assistant", "Hello! How was your first week?"),
    ("user", "Great, thanks. By the way, our team is hiring: we are looking for three more Rust developers."),
    ("assistant", "Good to know, I will pass it on."),
];

/// The people and things that the careers are about.
#[derive(Debug, Clone)]
pub(super) struct Careers {
    pub(super) job: Uuid,
    pub(super) recruiter: Uuid,
    /// Who is placed; the first of them also holds the conversation.
    pub(super) placed: Vec<Uuid>,
    /// How many were on the bench when the job was posted, whichever school they come from.
    pub(super) bench: i64,
}

/// Lets it all happen, and waits after each step until nothing is left to do.
pub(super) async fn run(
    bus: &Bus,
    school: &School,
    graduates: u32,
    chain_id: Uuid,
    patience: Duration,
) -> Result<Careers, DemoError> {
    const BENCH: &str = "SELECT COUNT(*) AS n FROM user_profiles WHERE candidate_status = 'bench'";
    let share = (graduates / PLACED_ONE_OF).clamp(1, PLACED_MAX) as usize;
    let placed: Vec<Uuid> = school.student_ids().take(share).collect();
    let careers = Careers {
        job: Uuid::now_v7(),
        recruiter: recruiter(bus, school).await?,
        placed,
        bench: count(bus.client(), BENCH, args![]).await?,
    };
    post_job(bus, school, &careers, chain_id).await?;
    settle(bus, chain_id, patience).await?;
    apply(bus, &careers, chain_id).await?;
    settle(bus, chain_id, patience).await?;
    place(bus, &careers, chain_id).await?;
    settle(bus, chain_id, patience).await?;
    converse(bus, &careers, chain_id).await?;
    settle(bus, chain_id, patience).await?;
    Ok(careers)
}

async fn recruiter(bus: &Bus, school: &School) -> Result<Uuid, StoreError> {
    const FIRST: &str = "SELECT id FROM user_profiles WHERE email LIKE $1 ORDER BY id LIMIT 1";
    let rows = bus.client().fetch_all(FIRST, args![school.emails(Role::Recruiter)]).await?;
    rows.first().map_or(Err(StoreError::Sql(sqlx::Error::RowNotFound)), |row| row.get("id"))
}

/// Opens a goal for each pod too: one placement.
async fn post_job(bus: &Bus, school: &School, careers: &Careers, chain_id: Uuid) -> Result<(), DemoError> {
    const JOB: &str = "INSERT INTO jobs (id, client_id, department_id, title) VALUES ($1, $2, $3, $4)";
    const PODS: &str =
        "SELECT pods.id FROM pods JOIN user_profiles p ON p.id = pods.senior_id WHERE p.email LIKE $1";
    const GOAL: &str = "INSERT INTO pod_goals (id, pod_id, target) VALUES ($1, $2, 1)";
    let (client_id, department_id) = (Uuid::now_v7(), Uuid::now_v7());
    let mut tx = bus.begin().await?;
    tx.execute("INSERT INTO clients (id, name) VALUES ($1, 'Voice & Sons')", args![client_id]).await?;
    tx.execute("INSERT INTO departments (id, name) VALUES ($1, 'Engineering')", args![department_id]).await?;
    tx.execute(JOB, args![careers.job, client_id, department_id, "Rust Developer"]).await?;
    for pod in tx.fetch_all(PODS, args![school.emails(Role::Employee)]).await? {
        tx.execute(GOAL, args![Uuid::now_v7(), pod.get::<Uuid>("id")?]).await?;
    }
    tx.publish(Publication::new(JobPosted { job_id: careers.job, client_id }).correlation_id(chain_id))?;
    Ok(tx.commit().await?)
}

async fn apply(bus: &Bus, careers: &Careers, chain_id: Uuid) -> Result<(), DemoError> {
    let tomorrow = OffsetDateTime::now_utc() + time::Duration::DAY;
    let applications = careers.placed.iter().map(|candidate_id| ApplicationSubmitted {
        application_id: Uuid::now_v7(),
        candidate_id: *candidate_id,
        job_id: careers.job,
    });
    bus.publish_all(applications.map(|event| Publication::new(event).correlation_id(chain_id))).await?;
    let interviews = careers.placed.iter().map(|candidate_id| InterviewScheduled {
        interview_id: Uuid::now_v7(),
        candidate_id: *candidate_id,
        datetime: tomorrow,
    });
    bus.publish_all(interviews.map(|event| Publication::new(event).correlation_id(chain_id))).await?;
    Ok(())
}

async fn place(bus: &Bus, careers: &Careers, chain_id: Uuid) -> Result<(), DemoError> {
    const PLACE: &str =
        "INSERT INTO placements (id, candidate_id, job_id, recruiter_id, salary, start_date, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let now = OffsetDateTime::now_utc();
    let Careers { job, recruiter, .. } = *careers;
    let mut tx = bus.begin().await?;
    for candidate_id in &careers.placed {
        let id = Uuid::now_v7();
        tx.execute(PLACE, args![id, *candidate_id, job, recruiter, SALARY, now + NOTICE, now]).await?;
        let placed = CandidatePlaced { candidate_id: *candidate_id, job_id: job, salary: SALARY };
        tx.publish(Publication::new(placed).created_by(recruiter).correlation_id(chain_id))?;
    }
    Ok(tx.commit().await?)
}

async fn converse(bus: &Bus, careers: &Careers, chain_id: Uuid) -> Result<(), DemoError> {
    // Whoever gets the leads already keeps getting them.
    const REP: &str = "INSERT INTO sales_reps (lead_type, user_id) VALUES ('default', $1)
        ON CONFLICT (lead_type) DO NOTHING";
    let user_id = careers.placed.first().copied().unwrap_or(careers.recruiter);
    let mut tx = bus.begin().await?;
    tx.execute(REP, args![careers.recruiter]).await?;
    let id = insert_conversation(&mut tx, user_id, &CONVERSATION).await?;
    tx.execute("UPDATE conversations SET ended_at = $2 WHERE id = $1", args![id, OffsetDateTime::now_utc()])
        .await?;
    let ended = ConversationEnded { conversation_id: id, user_id };
    tx.publish(Publication::new(ended).created_by(user_id).correlation_id(chain_id))?;
    Ok(tx.commit().await?)
}
