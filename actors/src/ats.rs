//! Applicant tracking: graduates become candidates, and candidates are placed.
//!
//! ```text
//! course.graduated ─→ the bench └→ candidate.created
//! job.posted ─→ `job_shortlists` · interview.scheduled ─→ `interviews`
//! application.submitted ─→ `applications`, `workflow_instances`
//! candidate.placed ─→ off the bench, `applications` closed, their `workflow_instances` cancelled
//! ```
//!
//! Events of one candidate may be handled in any order. Whatever depends on that
//! order first holds the candidate's row ([`people::hold`]), so that of two
//! reactions the second sees what the first one did, and ends in the same place.

use stentor::{Context, Handle, HandlerError, Module, ModuleOptions, Subscriptions, args};

use crate::events::{
    ApplicationSubmitted, CandidateCreated, CandidatePlaced, CourseGraduated, InterviewScheduled, JobPosted,
};
use crate::people::{self, Role};

mod applications;
mod interviews;
mod jobs;
mod placements;

pub use applications::submit_application;
pub use interviews::schedule_interview;
pub use jobs::{NewJob, PostJobError, SHORTLIST_MAX, post_job};
pub use placements::{Placement, RecordPlacementError, record_placement};

/// Follows candidates from the bench to a placement.
#[derive(Debug)]
pub struct Ats;

impl Module for Ats {
    const NAME: &'static str = "ats";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<ApplicationSubmitted>();
        on.event::<CandidatePlaced>();
        on.event::<CourseGraduated>();
        on.event::<InterviewScheduled>();
        on.event::<JobPosted>();
    }

    /// Nothing but short statements, so that one commit may serve many deliveries.
    fn options() -> ModuleOptions {
        ModuleOptions::default().deliveries_per_transaction(32)
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
