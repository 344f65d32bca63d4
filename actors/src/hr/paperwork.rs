//! Paperwork: hours worked, and money spent that must be paid back.

use stentor::{Context, Handle, HandlerError, args};
use time::Duration;

use super::Hr;
use crate::events::{ExpenseApproved, TimesheetSubmitted};
use crate::people::unknown;

/// How many hours a week are not overtime yet. A timesheet is for one week.
pub const WEEK_HOURS: f64 = 40.0;
/// How many hours a week has.
const WEEK_HOURS_MAX: f64 = 168.0;
/// How long after its approval an expense must be paid back.
pub const REIMBURSED_WITHIN: Duration = Duration::days(30);

impl Handle<TimesheetSubmitted> for Hr {
    async fn handle(&mut self, event: &TimesheetSubmitted, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const RECORD: &str = "INSERT INTO timesheets (id, user_id, hours, overtime, submitted_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
        let TimesheetSubmitted { timesheet_id, user_id, hours } = *event;
        if !(0.0..=WEEK_HOURS_MAX).contains(&hours) {
            let wrong =
                format!("timesheet {timesheet_id} is of {hours} hours, allowed are 0 to {WEEK_HOURS_MAX}");
            return Err(HandlerError::fatal(wrong));
        }
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        tx.execute(RECORD, args![timesheet_id, user_id, hours, hours > WEEK_HOURS, at])
            .await
            .map_err(|error| unknown(error, || format!("user {user_id} does not exist")))?;
        Ok(())
    }
}

impl Handle<ExpenseApproved> for Hr {
    async fn handle(&mut self, event: &ExpenseApproved, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const OWE: &str = "INSERT INTO reimbursements (expense_id, user_id, amount, approved_at, due_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (expense_id) DO NOTHING";
        let ExpenseApproved { expense_id, user_id, amount } = *event;
        if amount <= 0 {
            let wrong = format!("expense {expense_id} is of {amount}, allowed are amounts from 1 on");
            return Err(HandlerError::fatal(wrong));
        }
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        tx.execute(OWE, args![expense_id, user_id, amount, at, at + REIMBURSED_WITHIN])
            .await
            .map_err(|error| unknown(error, || format!("user {user_id} does not exist")))?;
        Ok(())
    }
}
