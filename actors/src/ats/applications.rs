//! Applications: a candidate wants a job, and a workflow follows them to the end.

use stentor::{Bus, Context, Handle, HandlerError, Publication, PublishError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Ats;
use crate::events::{ApplicationSubmitted, WorkflowCompleted};
use crate::people::{self, unknown};

/// Submits an application: publishes `application.submitted`. Returns the application's id.
///
/// The id is the correlation id of everything that follows.
///
/// # Errors
///
/// Fails if the event cannot be published.
pub async fn submit_application(bus: &Bus, candidate: Uuid, job: Uuid) -> Result<Uuid, PublishError> {
    let id = Uuid::now_v7();
    let submitted = ApplicationSubmitted { application_id: id, candidate_id: candidate, job_id: job };
    bus.publish(Publication::new(submitted).created_by(candidate).correlation_id(id)).await?;
    Ok(id)
}

impl Handle<ApplicationSubmitted> for Ats {
    async fn handle(
        &mut self,
        event: &ApplicationSubmitted,
        cx: &mut Context<'_>,
    ) -> Result<(), HandlerError> {
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        people::hold(tx, event.candidate_id).await?;
        if !record(tx, event, at).await? {
            return Ok(());
        }
        if let Some(workflow_id) = follow(tx, event, at).await? {
            cx.publish(WorkflowCompleted { workflow_id, user_id: event.candidate_id })?;
        }
        Ok(())
    }
}

/// Records the application; returns false if the candidate has applied for this job before.
///
/// One that is handled after the placement it led to is placed at once, and one that a placement
/// would have closed is closed.
async fn record(
    tx: &mut Transaction,
    event: &ApplicationSubmitted,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const RECORD: &str =
        "INSERT INTO applications (id, candidate_id, job_id, status, submitted_at, closed_at)
        SELECT $1, $2, $3, status, $4, CASE WHEN status = 'open' THEN NULL ELSE $4 END FROM (
            SELECT CASE
                WHEN EXISTS (SELECT 1 FROM bench_departures WHERE candidate_id = $2 AND job_id = $3)
                    THEN 'placed'
                WHEN EXISTS (SELECT 1 FROM bench_departures WHERE candidate_id = $2 AND left_at >= $4)
                    THEN 'closed'
                ELSE 'open'
            END AS status
        ) AS outcome WHERE true
        ON CONFLICT DO NOTHING";
    const KNOWN: &str = "SELECT 1 AS known FROM applications WHERE candidate_id = $1 AND job_id = $2";
    let ApplicationSubmitted { application_id, candidate_id, job_id } = *event;
    let recorded = tx
        .execute(RECORD, args![application_id, candidate_id, job_id, at])
        .await
        .map_err(|error| unknown(error, || format!("job {job_id} does not exist")))?;
    if recorded > 0 {
        return Ok(true);
    }
    match tx.fetch_optional(KNOWN, args![candidate_id, job_id]).await? {
        Some(_) => Ok(false),
        None => Err(HandlerError::fatal(format!(
            "application {application_id} is another candidate's or for another job; submit this one with an id of its own"
        ))),
    }
}

/// Starts the application's workflow; returns its id if it is at its end already.
///
/// That is so if the placement is known to Trikala, which found no workflow to complete then.
async fn follow(
    tx: &mut Transaction,
    event: &ApplicationSubmitted,
    at: OffsetDateTime,
) -> Result<Option<Uuid>, HandlerError> {
    const FOLLOW: &str =
        "INSERT INTO workflow_instances (id, application_id, object_id, status, started_at, completed_at)
        SELECT $1, id, candidate_id, outcome, $2, CASE WHEN outcome = 'active' THEN NULL ELSE $2 END FROM (
            SELECT id, candidate_id, CASE
                WHEN EXISTS (SELECT 1 FROM consultant_assignments c
                    WHERE c.consultant_id = a.candidate_id AND c.job_id = a.job_id) THEN 'completed'
                WHEN status = 'closed' THEN 'cancelled'
                ELSE 'active'
            END AS outcome
            FROM applications a WHERE id = $3
        ) AS application
        RETURNING status = 'completed' AS completed";
    let id = Uuid::now_v7();
    let workflow = tx.fetch_one(FOLLOW, args![id, at, event.application_id]).await?;
    Ok(workflow.get::<bool>("completed")?.then_some(id))
}
