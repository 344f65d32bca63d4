//! The people that all modules deal with: profiles, roles, and who is on which team.

use stentor::{HandlerError, StoreError, Transaction, args};
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// From a placement to the first working day.
pub const NOTICE: Duration = Duration::days(14);

/// What a user may be; a user can have several roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Looks after the system.
    Admin,
    /// Learns at the academy.
    Student,
    /// Graduated, and looks for a job.
    Candidate,
    /// Works for us or for a client of ours.
    Employee,
    /// Brings candidates and jobs together. All recruiters are the recruitment team.
    Recruiter,
}

impl Role {
    /// Returns the role's name in the table `roles`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Student => "student",
            Self::Candidate => "candidate",
            Self::Employee => "employee",
            Self::Recruiter => "recruiter",
        }
    }
}

/// Grants `role` to `user`, unless it has been granted before.
///
/// # Errors
///
/// Fatal if there is no such user.
pub async fn grant(
    tx: &mut Transaction,
    user: Uuid,
    role: Role,
    at: OffsetDateTime,
) -> Result<(), HandlerError> {
    const GRANT: &str = "INSERT INTO user_roles (user_id, role_id, granted_at)
        SELECT $1, id, $2 FROM roles WHERE name = $3
        ON CONFLICT (user_id, role_id) DO NOTHING";
    tx.execute(GRANT, args![user, at, role.as_str()])
        .await
        .map_err(|error| unknown(error, || format!("user {user} does not exist")))?;
    Ok(())
}

/// Returns the full name of `user`.
///
/// # Errors
///
/// Fatal if there is no such user.
pub async fn name_of(tx: &mut Transaction, user: Uuid) -> Result<String, HandlerError> {
    const NAME: &str = "SELECT full_name FROM user_profiles WHERE id = $1";
    match tx.fetch_optional(NAME, args![user]).await? {
        Some(row) => Ok(row.get("full_name")?),
        None => Err(absent(&format!("user {user} does not exist"))),
    }
}

/// Returns everyone who has `role`.
///
/// # Errors
///
/// Fails if the database does.
pub async fn with_role(tx: &mut Transaction, role: Role) -> Result<Vec<Uuid>, StoreError> {
    const HOLDERS: &str = "SELECT user_id FROM user_roles
        WHERE role_id = (SELECT id FROM roles WHERE name = $1) ORDER BY user_id";
    let rows = tx.fetch_all(HOLDERS, args![role.as_str()]).await?;
    rows.iter().map(|row| row.get("user_id")).collect()
}

/// Returns what time it is by the database's clock.
///
/// On PostgreSQL that is when the transaction began.
///
/// # Errors
///
/// Fails if the database does.
pub async fn now(tx: &mut Transaction) -> Result<OffsetDateTime, StoreError> {
    tx.fetch_one("SELECT reading FROM clock", args![]).await?.get("reading")
}

/// Holds the row of `user` until the transaction ends: whoever else holds it waits, and then sees what happened.
///
/// # Errors
///
/// Fatal if there is no such user.
pub async fn hold(tx: &mut Transaction, user: Uuid) -> Result<(), HandlerError> {
    const HOLD: &str = "UPDATE user_profiles SET full_name = full_name WHERE id = $1";
    if tx.execute(HOLD, args![user]).await? > 0 {
        Ok(())
    } else {
        Err(absent(&format!("user {user} does not exist")))
    }
}

/// Returns a moment as it is in UTC, as the databases keep it.
///
/// # Errors
///
/// Fatal if it is beyond the calendar there, which ends with the year 9999.
pub(crate) fn in_utc(moment: OffsetDateTime) -> Result<OffsetDateTime, HandlerError> {
    moment
        .checked_to_offset(UtcOffset::UTC)
        .ok_or_else(|| HandlerError::fatal(format!("{moment} is beyond the calendar in UTC")))
}

/// Turns into a fatal error what no retry cures; all other errors may be retried.
///
/// A broken reference says what is missing: no retry creates a row that somebody forgot, but a
/// redrive after it was created succeeds. What no row may hold is refused as often as it is tried.
pub(crate) fn unknown(error: StoreError, what: impl FnOnce() -> String) -> HandlerError {
    let StoreError::Sql(sqlx::Error::Database(refusal)) = &error else {
        return error.into();
    };
    if refusal.is_foreign_key_violation() {
        absent(&what())
    } else if refusal.is_check_violation() {
        HandlerError::fatal(error)
    } else {
        error.into()
    }
}

/// Makes the fatal error for something that an event names and no table knows.
pub(crate) fn absent(what: &str) -> HandlerError {
    HandlerError::fatal(format!("{what}; add what is missing, then redrive the delivery"))
}
