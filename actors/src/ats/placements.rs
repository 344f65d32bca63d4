//! Placements: a candidate gets a job, and leaves the bench.

use stentor::{Bus, Context, Handle, HandlerError, Publication, PublishError, StoreError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Ats;
use crate::events::CandidatePlaced;
use crate::people::{self, NOTICE, Role, unknown};

/// Who gets which job, for how much, and thanks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The candidate's user id.
    pub candidate: Uuid,
    /// The job.
    pub job: Uuid,
    /// The yearly salary, in whole currency units; at least 1.
    pub salary: i64,
    /// The user id of the recruiter who placed the candidate.
    pub recruiter: Uuid,
}

/// A placement could not be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordPlacementError {
    /// The salary is not positive.
    #[error("the salary is {0}, allowed are amounts from 1 on")]
    Salary(i64),
    /// There is no such user.
    #[error("candidate {0} does not exist")]
    Candidate(Uuid),
    /// There is no such job.
    #[error("job {0} does not exist; post it first")]
    Job(Uuid),
    /// There is no such user, or it has not the role.
    #[error("user {0} is no recruiter; grant the role first")]
    Recruiter(Uuid),
    /// The candidate has been placed in this job before.
    #[error("candidate {candidate} is placed in job {job} already")]
    AlreadyPlaced {
        /// The candidate.
        candidate: Uuid,
        /// The job.
        job: Uuid,
    },
    /// The event could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records a placement: its row and `candidate.placed` are stored together. Returns the placement's id.
///
/// The first working day is [`NOTICE`] from now. The id is the correlation id of
/// everything that follows.
///
/// # Errors
///
/// Fails if the salary is not positive, if there is no such candidate, job or
/// recruiter, or if the candidate is placed in this job already.
pub async fn record_placement(bus: &Bus, placement: &Placement) -> Result<Uuid, RecordPlacementError> {
    let mut tx = bus.begin().await?;
    check(&mut tx, placement).await?;
    let id = Uuid::now_v7();
    insert(&mut tx, id, placement).await?;
    let Placement { candidate, job, salary, recruiter } = *placement;
    let placed = CandidatePlaced { candidate_id: candidate, job_id: job, salary };
    tx.publish(Publication::new(placed).created_by(recruiter).correlation_id(id))?;
    tx.commit().await?;
    Ok(id)
}

async fn check(tx: &mut Transaction, placement: &Placement) -> Result<(), RecordPlacementError> {
    const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM user_profiles WHERE id = $1) AS candidate,
        EXISTS (SELECT 1 FROM jobs WHERE id = $2) AS job,
        EXISTS (SELECT 1 FROM user_roles u JOIN roles r ON r.id = u.role_id
            WHERE u.user_id = $3 AND r.name = $4) AS recruiter";
    let Placement { candidate, job, salary, recruiter } = *placement;
    if salary <= 0 {
        return Err(RecordPlacementError::Salary(salary));
    }
    let known = tx.fetch_one(KNOWN, args![candidate, job, recruiter, Role::Recruiter.as_str()]).await?;
    if !known.get::<bool>("candidate")? {
        return Err(RecordPlacementError::Candidate(candidate));
    }
    if !known.get::<bool>("job")? {
        return Err(RecordPlacementError::Job(job));
    }
    if !known.get::<bool>("recruiter")? {
        return Err(RecordPlacementError::Recruiter(recruiter));
    }
    Ok(())
}

async fn insert(tx: &mut Transaction, id: Uuid, placement: &Placement) -> Result<(), RecordPlacementError> {
    const PLACE: &str =
        "INSERT INTO placements (id, candidate_id, job_id, recruiter_id, salary, start_date, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (candidate_id, job_id) DO NOTHING";
    let Placement { candidate, job, salary, recruiter } = *placement;
    let now = people::now(tx).await?;
    let placed = tx.execute(PLACE, args![id, candidate, job, recruiter, salary, now + NOTICE, now]).await?;
    if placed > 0 { Ok(()) } else { Err(RecordPlacementError::AlreadyPlaced { candidate, job }) }
}

impl Handle<CandidatePlaced> for Ats {
    async fn handle(&mut self, event: &CandidatePlaced, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const PLACED: &str = "UPDATE user_profiles SET candidate_status = 'placed' WHERE id = $1";
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        people::hold(tx, event.candidate_id).await?;
        if depart(tx, event, at).await? {
            tx.execute(PLACED, args![event.candidate_id]).await?;
            close_applications(tx, event, at).await?;
        }
        Ok(())
    }
}

/// Takes the candidate off the bench; returns false if this placement did so before.
///
/// Somebody may be back on the bench by the time an event is delivered again.
async fn depart(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const DEPART: &str = "INSERT INTO bench_departures (candidate_id, job_id, left_at) VALUES ($1, $2, $3)
        ON CONFLICT (candidate_id, job_id) DO NOTHING";
    let CandidatePlaced { candidate_id, job_id, .. } = *event;
    let departed = tx
        .execute(DEPART, args![candidate_id, job_id, at])
        .await
        .map_err(|error| unknown(error, || format!("job {job_id} does not exist")))?;
    Ok(departed > 0)
}

/// Ends all applications that were open at the placement; the workflow of the one that led to it is Trikala's.
async fn close_applications(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    at: OffsetDateTime,
) -> Result<(), HandlerError> {
    // Another placement may have closed it.
    const PLACE: &str = "UPDATE applications SET status = 'placed', closed_at = $3
        WHERE candidate_id = $1 AND job_id = $2 AND status <> 'placed'";
    const CLOSE: &str = "UPDATE applications SET status = 'closed', closed_at = $3
        WHERE candidate_id = $1 AND job_id <> $2 AND status = 'open' AND submitted_at <= $3";
    const CANCEL: &str = "UPDATE workflow_instances SET status = 'cancelled', completed_at = $2
        WHERE object_id = $1 AND status = 'active'
            AND application_id IN (SELECT id FROM applications WHERE candidate_id = $1 AND status = 'closed')";
    let CandidatePlaced { candidate_id, job_id, .. } = *event;
    tx.execute(PLACE, args![candidate_id, job_id, at]).await?;
    tx.execute(CLOSE, args![candidate_id, job_id, at]).await?;
    tx.execute(CANCEL, args![candidate_id, at]).await?;
    Ok(())
}
