//! Interviews: each has a date, until a later event moves it.

use stentor::{Bus, Context, Handle, HandlerError, Publication, PublishError, Receipt, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Ats;
use crate::events::InterviewScheduled;
use crate::people::{in_utc, unknown};

/// Schedules an interview: publishes `interview.scheduled`. The same interview again is moved to another date.
///
/// The interview's id is the correlation id of everything that follows.
///
/// # Errors
///
/// Fails if the event cannot be published.
pub async fn schedule_interview(
    bus: &Bus,
    interview: Uuid,
    candidate: Uuid,
    datetime: OffsetDateTime,
) -> Result<Receipt, PublishError> {
    let scheduled = InterviewScheduled { interview_id: interview, candidate_id: candidate, datetime };
    bus.publish(Publication::new(scheduled).correlation_id(interview)).await
}

impl Handle<InterviewScheduled> for Ats {
    async fn handle(&mut self, event: &InterviewScheduled, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        // Ids are in the order of publishing, which settles it between events of the same moment.
        const SCHEDULE: &str =
            "INSERT INTO interviews (id, candidate_id, scheduled_at, announced_at, announced_by)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (id) DO UPDATE SET scheduled_at = excluded.scheduled_at,
                announced_at = excluded.announced_at, announced_by = excluded.announced_by
            WHERE interviews.candidate_id = excluded.candidate_id
                AND (interviews.announced_at, interviews.announced_by)
                    < (excluded.announced_at, excluded.announced_by)";
        const KNOWN: &str = "SELECT 1 AS known FROM interviews WHERE id = $1 AND candidate_id = $2";
        let InterviewScheduled { interview_id, candidate_id, datetime } = *event;
        let datetime = in_utc(datetime)?;
        let (at, by) = (cx.envelope().created_at, cx.envelope().id);
        let tx = cx.transaction().await?;
        let scheduled = tx
            .execute(SCHEDULE, args![interview_id, candidate_id, datetime, at, by])
            .await
            .map_err(|error| unknown(error, || format!("candidate {candidate_id} does not exist")))?;
        if scheduled > 0 || tx.fetch_optional(KNOWN, args![interview_id, candidate_id]).await?.is_some() {
            return Ok(());
        }
        Err(HandlerError::fatal(format!(
            "interview {interview_id} is another candidate's; schedule this one with an id of its own"
        )))
    }
}
