//! Trikala: pods, each a senior with a few juniors, and consultants at clients.
//!
//! ```text
//! course.graduated ─→ `pod_members`, or `pod_waitlist` └→ notification.send
//! candidate.placed ─→ `consultant_assignments`, `workflow_instances` └→ workflow.completed
//! workflow.completed ─→ `pod_goals` └→ goal.achieved
//! ```
//!
//! A placement leaves the consultant in the pod: the senior looks after juniors at
//! clients too, and what they complete counts for the pod's goal. A place is freed
//! by [`leave_pod`].

use stentor::{Context, Handle, HandlerError, Module, ModuleOptions, Subscriptions, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{CandidatePlaced, CourseGraduated, WorkflowCompleted};
use crate::people::unknown;

mod consulting;
mod goals;
mod line;
mod places;
mod pods;

pub use pods::{LeavePodError, SetCapacityError, leave_pod, set_capacity};

/// Finds graduates a place in a pod, and follows them to clients and goals.
#[derive(Debug)]
pub struct Trikala;

impl Module for Trikala {
    const NAME: &'static str = "trikala";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CandidatePlaced>();
        on.event::<CourseGraduated>();
        on.event::<WorkflowCompleted>();
    }

    /// Nothing but short statements, so that one commit may serve many deliveries.
    fn options() -> ModuleOptions {
        ModuleOptions::default().deliveries_per_transaction(32)
    }
}

impl Handle<CourseGraduated> for Trikala {
    async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let junior = event.user_id;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        line::take_turn(tx).await?;
        if !request_place(tx, junior, at).await? {
            return Ok(());
        }
        let letters = match places::take(tx, junior, at).await? {
            Some(letter) => vec![letter],
            None => line::wait(tx, junior, at).await?,
        };
        for letter in letters {
            cx.publish(letter)?;
        }
        Ok(())
    }
}

/// Puts the junior's request down; returns false if there was one, or there is no need for one.
///
/// Of two requests at once for one person the second waits here for the first one's commit.
async fn request_place(tx: &mut Transaction, junior: Uuid, at: OffsetDateTime) -> Result<bool, HandlerError> {
    const REQUEST: &str = "INSERT INTO pod_requests (user_id, requested_at)
        SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM pod_members WHERE user_id = $1)
        ON CONFLICT (user_id) DO NOTHING";
    let requested = tx
        .execute(REQUEST, args![junior, at])
        .await
        .map_err(|error| unknown(error, || format!("user {junior} does not exist")))?;
    Ok(requested > 0)
}
