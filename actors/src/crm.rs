//! Customer relations: leads that the other modules find.

use stentor::{Context, Handle, HandlerError, Module, ModuleOptions, Subscriptions, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{CrossPollinationOpportunity, NotificationKind, NotificationSend};
use crate::people::{self, Role, unknown};

/// The longest lead type and source, in characters.
const WORD_CHARS_MAX: usize = 64;

/// Puts leads into the pipeline, and tells who follows them up.
#[derive(Debug)]
pub struct Crm;

impl Module for Crm {
    const NAME: &'static str = "crm";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CrossPollinationOpportunity>();
    }

    /// Two workers, as leads have nothing to do with each other.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(2)
    }
}

impl Handle<CrossPollinationOpportunity> for Crm {
    async fn handle(
        &mut self,
        event: &CrossPollinationOpportunity,
        cx: &mut Context<'_>,
    ) -> Result<(), HandlerError> {
        check(event).map_err(HandlerError::fatal)?;
        let (id, at) = (cx.envelope().id, cx.envelope().created_at);
        let tx = cx.transaction().await?;
        if !enter(tx, event, id, at).await? {
            return Ok(());
        }
        let name = people::name_of(tx, event.user_id).await?;
        let message = format!("AI detected {} opportunity from {name}", event.lead_type);
        for rep in sales_reps(tx, &event.lead_type).await? {
            let (title, kind) = ("New Lead Detected", NotificationKind::Success);
            cx.publish(NotificationSend::quoting(rep, title, &message, kind))?;
        }
        Ok(())
    }
}

/// Says what is wrong with an opportunity.
fn check(event: &CrossPollinationOpportunity) -> Result<(), String> {
    if !(0.0..=1.0).contains(&event.confidence) {
        return Err(format!("confidence is {}, allowed are 0 to 1", event.confidence));
    }
    for (name, word) in [("leadType", &event.lead_type), ("source", &event.source)] {
        let length = word.chars().count();
        if length == 0 || length > WORD_CHARS_MAX {
            return Err(format!("{name} has {length} characters, allowed are 1 to {WORD_CHARS_MAX}"));
        }
    }
    Ok(())
}

/// Enters a lead into the pipeline; returns false if it had been entered before.
async fn enter(
    tx: &mut Transaction,
    event: &CrossPollinationOpportunity,
    id: Uuid,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const ENTER: &str =
        "INSERT INTO opportunity_pipeline (user_id, type, source, confidence, status, event_id, created_at)
        VALUES ($1, $2, $3, $4, 'new', $5, $6) ON CONFLICT (event_id) DO NOTHING";
    let CrossPollinationOpportunity { user_id, lead_type, source, confidence } = event;
    let entered = tx
        .execute(ENTER, args![*user_id, lead_type, source, *confidence, id, at])
        .await
        .map_err(|error| unknown(error, || format!("user {user_id} does not exist")))?;
    Ok(entered > 0)
}

/// Returns who follows up leads of a type: its rep, or else the rep of all others, or else every admin.
async fn sales_reps(tx: &mut Transaction, lead_type: &str) -> Result<Vec<Uuid>, HandlerError> {
    const REP: &str = "SELECT user_id FROM sales_reps WHERE lead_type IN ($1, 'default')
        ORDER BY lead_type = 'default' LIMIT 1";
    match tx.fetch_optional(REP, args![lead_type]).await? {
        Some(rep) => Ok(vec![rep.get("user_id")?]),
        None => Ok(people::with_role(tx, Role::Admin).await?),
    }
}
