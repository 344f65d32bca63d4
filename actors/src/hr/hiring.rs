//! Hiring: whoever is placed becomes an employee, and is prepared for the first working day.

use stentor::{Context, Handle, HandlerError, Transaction, args};
use time::{Date, Duration, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::{Hr, leave};
use crate::events::{CandidatePlaced, EmployeeHired};
use crate::people::{self, Role, absent, unknown};

/// What must be done for everybody who is hired, and how many days after the first working day it is due.
const CHECKLIST: [(&str, i64); 5] = [
    ("Sign the contract", -7),
    ("Set up laptop and accounts", -1),
    ("Meet the team", 0),
    ("Take the security training", 7),
    ("Review the first month", 30),
];

/// The job that somebody was placed in.
struct Position {
    title: String,
    department_id: Uuid,
    first_day: OffsetDateTime,
    placed_at: OffsetDateTime,
}

impl Handle<CandidatePlaced> for Hr {
    async fn handle(&mut self, event: &CandidatePlaced, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let employee = event.candidate_id;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        let position = position(tx, event, at).await?;
        let Some(positions) = employ(tx, event, &position).await? else {
            return Ok(());
        };
        people::grant(tx, employee, Role::Employee, at).await?;
        update_profile(tx, employee, &position).await?;
        // Whoever had a position before was hired then.
        if positions > 1 {
            return Ok(());
        }
        leave::open_balances(tx, employee).await?;
        cx.publish(EmployeeHired {
            user_id: employee,
            department_id: position.department_id,
            start_date: position.first_day.to_offset(UtcOffset::UTC).date(),
        })?;
        Ok(())
    }
}

async fn position(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    at: OffsetDateTime,
) -> Result<Position, HandlerError> {
    const POSITION: &str = "SELECT j.title, j.department_id, p.start_date, p.created_at FROM jobs j
        LEFT JOIN placements p ON p.job_id = j.id AND p.candidate_id = $1 WHERE j.id = $2";
    let Some(row) = tx.fetch_optional(POSITION, args![event.candidate_id, event.job_id]).await? else {
        return Err(absent(&format!("job {} does not exist", event.job_id)));
    };
    Ok(Position {
        title: row.get("title")?,
        department_id: row.get("department_id")?,
        // The row may be missing where another application tells of placements.
        first_day: row.get::<Option<_>>("start_date")?.unwrap_or(at + people::NOTICE),
        placed_at: row.get::<Option<_>>("created_at")?.unwrap_or(at),
    })
}

/// Puts the employment down, and returns how many positions the employee has had.
///
/// Returns nothing if this position, or one that came after it, is down already. Of two
/// placements at once the second waits here for the first one's commit, and then sees it.
async fn employ(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    position: &Position,
) -> Result<Option<i64>, HandlerError> {
    const EMPLOY: &str =
        "INSERT INTO employments (user_id, job_id, placed_at, positions) VALUES ($1, $2, $3, 1)
        ON CONFLICT (user_id) DO UPDATE
        SET job_id = excluded.job_id, placed_at = excluded.placed_at, positions = employments.positions + 1
        WHERE employments.job_id <> excluded.job_id AND employments.placed_at < excluded.placed_at
        RETURNING positions";
    let CandidatePlaced { candidate_id, job_id, .. } = *event;
    let employed = tx
        .fetch_optional(EMPLOY, args![candidate_id, job_id, position.placed_at])
        .await
        .map_err(|error| unknown(error, || format!("candidate {candidate_id} does not exist")))?;
    Ok(employed.map(|row| row.get("positions")).transpose()?)
}

/// Sets title and department; the first hire date is the one that counts.
async fn update_profile(tx: &mut Transaction, user: Uuid, position: &Position) -> Result<(), HandlerError> {
    const UPDATE: &str = "UPDATE user_profiles SET employee_hire_date = COALESCE(employee_hire_date, $2),
            employee_job_title = $3, employee_department_id = $4
        WHERE id = $1";
    let Position { title, department_id, first_day, .. } = position;
    tx.execute(UPDATE, args![user, *first_day, title, *department_id]).await?;
    Ok(())
}

impl Handle<EmployeeHired> for Hr {
    async fn handle(&mut self, event: &EmployeeHired, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const CHECK: &str = "INSERT INTO onboarding_tasks (user_id, task, due_at) VALUES ($1, $2, $3)
            ON CONFLICT (user_id, task) DO NOTHING";
        let EmployeeHired { user_id, start_date, .. } = *event;
        let tx = cx.transaction().await?;
        for (task, days) in CHECKLIST {
            let due = due_at(start_date, days)?;
            tx.execute(CHECK, args![user_id, task, due])
                .await
                .map_err(|error| unknown(error, || format!("user {user_id} does not exist")))?;
        }
        Ok(())
    }
}

/// Returns the beginning of the day that is so many days after the first working day.
fn due_at(first_day: Date, days: i64) -> Result<OffsetDateTime, HandlerError> {
    match first_day.checked_add(Duration::days(days)) {
        Some(day) => Ok(day.midnight().assume_utc()),
        None => Err(HandlerError::fatal(format!("the first working day {first_day} is beyond the calendar"))),
    }
}
