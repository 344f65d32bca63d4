//! Consulting: whoever is placed works at a client, and the way there is at its end.

use stentor::{Context, Handle, HandlerError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Trikala;
use crate::events::{CandidatePlaced, WorkflowCompleted};
use crate::people::{self, NOTICE, absent};

impl Handle<CandidatePlaced> for Trikala {
    async fn handle(&mut self, event: &CandidatePlaced, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        // Whoever records the application holds this too: of the two, the second completes the workflow.
        people::hold(tx, event.candidate_id).await?;
        if !assign(tx, event, at).await? {
            return Ok(());
        }
        if let Some(workflow_id) = complete_workflow(tx, event, at).await? {
            cx.publish(WorkflowCompleted { workflow_id, user_id: event.candidate_id })?;
        }
        Ok(())
    }
}

/// Assigns the consultant to the job's client; returns false if that had been done before.
async fn assign(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    // Where no row of `placements` names the first day, the event's own day counts.
    const ASSIGN: &str =
        "INSERT INTO consultant_assignments (consultant_id, job_id, client_id, start_date, created_at)
        SELECT $1, j.id, j.client_id, COALESCE(p.start_date, $3), $4
        FROM jobs j LEFT JOIN placements p ON p.job_id = j.id AND p.candidate_id = $1
        WHERE j.id = $2
        ON CONFLICT (consultant_id, job_id) DO NOTHING";
    const KNOWN: &str = "SELECT 1 AS known FROM jobs WHERE id = $1";
    let CandidatePlaced { candidate_id, job_id, .. } = *event;
    if tx.execute(ASSIGN, args![candidate_id, job_id, at + NOTICE, at]).await? > 0 {
        return Ok(true);
    }
    match tx.fetch_optional(KNOWN, args![job_id]).await? {
        Some(_) => Ok(false),
        None => Err(absent(&format!("job {job_id} does not exist"))),
    }
}

/// Completes the workflow of the application that led to the placement, and returns its id, if there was one.
async fn complete_workflow(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    at: OffsetDateTime,
) -> Result<Option<Uuid>, HandlerError> {
    // Another placement may have cancelled it.
    const COMPLETE: &str = "UPDATE workflow_instances SET status = 'completed', completed_at = $3
        WHERE application_id = (SELECT id FROM applications WHERE candidate_id = $1 AND job_id = $2)
            AND status <> 'completed'
        RETURNING id";
    let completed = tx.fetch_optional(COMPLETE, args![event.candidate_id, event.job_id, at]).await?;
    Ok(completed.map(|row| row.get("id")).transpose()?)
}
