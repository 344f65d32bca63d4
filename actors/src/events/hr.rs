//! Events of human resources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use time::Date;
use time::macros::date;
use uuid::Uuid;

use super::{Example, example_id};

time::serde::format_description!(iso_date, Date, "[year]-[month]-[day]");

/// Somebody becomes an employee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmployeeHired {
    /// The employee.
    pub user_id: Uuid,
    /// The department.
    pub department_id: Uuid,
    /// The first working day.
    #[serde(with = "iso_date")]
    #[schemars(with = "String", extend("format" = "date"))]
    pub start_date: Date,
}

impl Event for EmployeeHired {
    const TYPE: &'static str = "employee.hired";
}

impl Example for EmployeeHired {
    fn example() -> Self {
        Self { user_id: example_id(11), department_id: example_id(41), start_date: date!(2025 - 12 - 01) }
    }
}

/// An employee handed in the hours of a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimesheetSubmitted {
    /// The timesheet.
    pub timesheet_id: Uuid,
    /// The employee.
    pub user_id: Uuid,
    /// Hours worked.
    pub hours: f64,
}

impl Event for TimesheetSubmitted {
    const TYPE: &'static str = "timesheet.submitted";
}

impl Example for TimesheetSubmitted {
    fn example() -> Self {
        Self { timesheet_id: example_id(42), user_id: example_id(11), hours: 42.5 }
    }
}

/// An employee may go on leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaveApproved {
    /// The leave.
    pub leave_id: Uuid,
    /// The employee.
    pub user_id: Uuid,
    /// Working days; half days are possible.
    pub days: f64,
}

impl Event for LeaveApproved {
    const TYPE: &'static str = "leave.approved";
}

impl Example for LeaveApproved {
    fn example() -> Self {
        Self { leave_id: example_id(43), user_id: example_id(11), days: 2.5 }
    }
}

/// An employee's expense will be paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpenseApproved {
    /// The expense.
    pub expense_id: Uuid,
    /// The employee.
    pub user_id: Uuid,
    /// The amount, in whole currency units.
    pub amount: i64,
}

impl Event for ExpenseApproved {
    const TYPE: &'static str = "expense.approved";
}

impl Example for ExpenseApproved {
    fn example() -> Self {
        Self { expense_id: example_id(44), user_id: example_id(11), amount: 120 }
    }
}
