//! Leave: how many days everybody has, and who takes some of them.

use stentor::{Context, Handle, HandlerError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Hr;
use crate::events::LeaveApproved;
use crate::people::{absent, unknown};

/// How many working days of annual leave an employee begins with. Every leave that is approved draws on them.
pub const ANNUAL_LEAVE_DAYS: f64 = 25.0;
/// How many working days of sick leave an employee begins with.
pub const SICK_LEAVE_DAYS: f64 = 10.0;

/// Gives a new employee the balances that everybody begins with.
pub(super) async fn open_balances(tx: &mut Transaction, user: Uuid) -> Result<(), HandlerError> {
    const OPEN: &str =
        "INSERT INTO leave_balances (user_id, kind, days) VALUES ($1, 'annual', $2), ($1, 'sick', $3)
        ON CONFLICT (user_id, kind) DO NOTHING";
    tx.execute(OPEN, args![user, ANNUAL_LEAVE_DAYS, SICK_LEAVE_DAYS]).await?;
    Ok(())
}

impl Handle<LeaveApproved> for Hr {
    async fn handle(&mut self, event: &LeaveApproved, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let LeaveApproved { leave_id, days, .. } = *event;
        // Sums of half days are exact, so that a balance never ends at almost nothing.
        if days <= 0.0 || (days * 2.0).fract() != 0.0 {
            let wrong =
                format!("leave {leave_id} is of {days} days, allowed are whole and half days from 0.5 on");
            return Err(HandlerError::fatal(wrong));
        }
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        if record(tx, event, at).await? {
            draw(tx, event).await?;
        }
        Ok(())
    }
}

/// Records the leave; returns false if it had been recorded before.
async fn record(
    tx: &mut Transaction,
    event: &LeaveApproved,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const RECORD: &str = "INSERT INTO leaves (id, user_id, days, approved_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO NOTHING";
    let LeaveApproved { leave_id, user_id, days } = *event;
    let recorded = tx
        .execute(RECORD, args![leave_id, user_id, days, at])
        .await
        .map_err(|error| unknown(error, || format!("user {user_id} does not exist")))?;
    Ok(recorded > 0)
}

/// Takes the days off the balance of annual leave, if it has so many.
async fn draw(tx: &mut Transaction, event: &LeaveApproved) -> Result<(), HandlerError> {
    const DRAW: &str = "UPDATE leave_balances SET days = days - $2
        WHERE user_id = $1 AND kind = 'annual' AND days >= $2";
    const LEFT: &str = "SELECT days FROM leave_balances WHERE user_id = $1 AND kind = 'annual'";
    let LeaveApproved { leave_id, user_id, days } = *event;
    if tx.execute(DRAW, args![user_id, days]).await? > 0 {
        return Ok(());
    }
    let Some(balance) = tx.fetch_optional(LEFT, args![user_id]).await? else {
        return Err(absent(&format!("user {user_id} has no balance of annual leave")));
    };
    let left: f64 = balance.get("days")?;
    Err(HandlerError::fatal(format!(
        "leave {leave_id} takes {days} days, but user {user_id} has only {left} days of annual leave left; \
         raise the balance, then redrive the delivery, or withdraw the leave"
    )))
}
