//! Applicant tracking: graduates become candidates.

use stentor::{Context, Handle, HandlerError, Module, Subscriptions, args};

use crate::events::{CandidateCreated, CourseGraduated};
use crate::people::{self, Role};

/// Makes candidates of graduates.
#[derive(Debug)]
pub struct Ats;

impl Module for Ats {
    const NAME: &'static str = "ats";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CourseGraduated>();
    }
}

impl Handle<CourseGraduated> for Ats {
    async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        // Whoever has a status is a candidate already, and may even be placed by now.
        const TO_BENCH: &str =
            "UPDATE user_profiles SET candidate_status = 'bench', candidate_available_from = $2
            WHERE id = $1 AND candidate_status IS NULL";
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        people::grant(tx, event.user_id, Role::Candidate, at).await?;
        let new_candidates = tx.execute(TO_BENCH, args![event.user_id, at]).await?;
        if new_candidates > 0 {
            cx.publish(CandidateCreated { user_id: event.user_id })?;
        }
        Ok(())
    }
}
