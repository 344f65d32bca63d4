//! Jobs: a client offers one, and the best of the bench are listed for it.

use stentor::{Bus, Context, Handle, HandlerError, Publication, PublishError, StoreError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Ats;
use crate::events::JobPosted;
use crate::people::absent;

/// How many candidates a shortlist holds at most.
pub const SHORTLIST_MAX: i64 = 10;

/// A job that a client offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The client.
    pub client: Uuid,
    /// The department that whoever gets the job belongs to.
    pub department: Uuid,
    /// What the job is called. Not empty.
    pub title: String,
}

/// A job could not be posted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostJobError {
    /// The title is empty.
    #[error("the job has no title")]
    Title,
    /// There is no such client.
    #[error("client {0} does not exist")]
    Client(Uuid),
    /// There is no such department.
    #[error("department {0} does not exist")]
    Department(Uuid),
    /// The event could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Posts a job: its row and `job.posted` are stored together. Returns the job's id.
///
/// The id is the correlation id of everything that follows.
///
/// # Errors
///
/// Fails if the title is empty, or there is no such client or department.
pub async fn post_job(bus: &Bus, job: &NewJob) -> Result<Uuid, PostJobError> {
    const POST: &str = "INSERT INTO jobs (id, client_id, department_id, title) VALUES ($1, $2, $3, $4)";
    let mut tx = bus.begin().await?;
    check(&mut tx, job).await?;
    let id = Uuid::now_v7();
    tx.execute(POST, args![id, job.client, job.department, &job.title]).await?;
    let posted = JobPosted { job_id: id, client_id: job.client };
    tx.publish(Publication::new(posted).correlation_id(id))?;
    tx.commit().await?;
    Ok(id)
}

async fn check(tx: &mut Transaction, job: &NewJob) -> Result<(), PostJobError> {
    const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM clients WHERE id = $1) AS client,
        EXISTS (SELECT 1 FROM departments WHERE id = $2) AS department";
    if job.title.is_empty() {
        return Err(PostJobError::Title);
    }
    let known = tx.fetch_one(KNOWN, args![job.client, job.department]).await?;
    if !known.get::<bool>("client")? {
        return Err(PostJobError::Client(job.client));
    }
    if !known.get::<bool>("department")? {
        return Err(PostJobError::Department(job.department));
    }
    Ok(())
}

impl Handle<JobPosted> for Ats {
    async fn handle(&mut self, event: &JobPosted, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        // By mean final score; of equals, whoever is available first.
        const LIST: &str = "INSERT INTO job_shortlists (job_id, candidate_id, position, listed_at)
            SELECT $1, id, ROW_NUMBER() OVER (ORDER BY score DESC, available_from, id), $2 FROM (
                SELECT p.id, p.candidate_available_from AS available_from,
                    COALESCE(AVG(c.final_score), 0) AS score
                FROM user_profiles p
                LEFT JOIN course_progress c ON c.user_id = p.id AND c.graduated_at IS NOT NULL
                WHERE p.candidate_status = 'bench'
                GROUP BY p.id, p.candidate_available_from
                ORDER BY score DESC, available_from, id LIMIT $3
            ) AS best";
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        if open_shortlist(tx, event, at).await? {
            tx.execute(LIST, args![event.job_id, at, SHORTLIST_MAX]).await?;
        }
        Ok(())
    }
}

/// Returns false if the job has had its shortlist before, even an empty one.
async fn open_shortlist(
    tx: &mut Transaction,
    event: &JobPosted,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const OPEN: &str = "UPDATE jobs SET shortlisted_at = $3
        WHERE id = $1 AND client_id = $2 AND shortlisted_at IS NULL";
    const KNOWN: &str = "SELECT 1 AS known FROM jobs WHERE id = $1 AND client_id = $2";
    let JobPosted { job_id, client_id } = *event;
    if tx.execute(OPEN, args![job_id, client_id, at]).await? > 0 {
        return Ok(true);
    }
    match tx.fetch_optional(KNOWN, args![job_id, client_id]).await? {
        Some(_) => Ok(false),
        None => Err(absent(&format!("client {client_id} has no job {job_id}"))),
    }
}
