//! Human resources: who is hired, works, is on leave and spends.
//!
//! ```text
//! candidate.placed ─→ role, profile, `employments`, `leave_balances`
//!                     └→ employee.hired ─→ `onboarding_tasks`
//! leave.approved ─→ `leaves`, `leave_balances`
//! timesheet.submitted ─→ `timesheets` · expense.approved ─→ `reimbursements`
//! ```

use stentor::{Module, ModuleOptions, Subscriptions};

use crate::events::{CandidatePlaced, EmployeeHired, ExpenseApproved, LeaveApproved, TimesheetSubmitted};

mod hiring;
mod leave;
mod paperwork;

pub use leave::{ANNUAL_LEAVE_DAYS, SICK_LEAVE_DAYS};
pub use paperwork::{REIMBURSED_WITHIN, WEEK_HOURS};

/// Keeps the records of employees.
#[derive(Debug)]
pub struct Hr;

impl Module for Hr {
    const NAME: &'static str = "hr";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CandidatePlaced>();
        on.event::<EmployeeHired>();
        on.event::<ExpenseApproved>();
        on.event::<LeaveApproved>();
        on.event::<TimesheetSubmitted>();
    }

    /// Nothing but short statements, so that one commit may serve many deliveries.
    fn options() -> ModuleOptions {
        ModuleOptions::default().deliveries_per_transaction(32)
    }
}
