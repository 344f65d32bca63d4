//! The digest of errors: a storm of them makes one message for each admin.

use stentor::{HandlerError, Transaction, args};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::events::SystemError;
use crate::people::Role;
use crate::text::shortened;

/// How long errors are gathered into one message.
const WINDOW: Duration = Duration::minutes(15);

/// The longest part of an error's text that a digest shows, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// Adds an error to the digest of its quarter of an hour, once.
pub(super) async fn add(
    tx: &mut Transaction,
    event: &SystemError,
    id: Uuid,
    at: OffsetDateTime,
) -> Result<(), HandlerError> {
    const GATE: &str = "INSERT INTO error_digest_events (event_id, started_at) VALUES ($1, $2)
        ON CONFLICT (event_id) DO NOTHING";
    const COUNT: &str = "INSERT INTO error_digests (started_at, errors) VALUES ($1, 1)
        ON CONFLICT (started_at) DO UPDATE SET errors = error_digests.errors + 1 RETURNING errors";
    let started_at = window_start(at);
    if tx.execute(GATE, args![id, started_at]).await? == 0 {
        return Ok(());
    }
    let errors: i64 = tx.fetch_one(COUNT, args![started_at]).await?.get("errors")?;
    tell_admins(tx, &text(event, errors, started_at), started_at, at).await
}

/// Writes the quarter's message, or over it; it counts as unread again.
async fn tell_admins(
    tx: &mut Transaction,
    message: &str,
    started_at: OffsetDateTime,
    at: OffsetDateTime,
) -> Result<(), HandlerError> {
    const TELL: &str = "INSERT INTO notifications (user_id, title, message, type, source, created_at)
        SELECT user_id, 'System Errors', $1, 'error', $2, $3 FROM user_roles
        WHERE role_id = (SELECT id FROM roles WHERE name = $4)
        ON CONFLICT (user_id, source) DO UPDATE SET message = excluded.message, read_at = NULL";
    let source = format!("system.error/{}", started_at.unix_timestamp());
    tx.execute(TELL, args![message, source, at, Role::Admin.as_str()]).await?;
    Ok(())
}

fn text(event: &SystemError, errors: i64, started_at: OffsetDateTime) -> String {
    let (hour, minute) = (started_at.hour(), started_at.minute());
    let noun = if errors == 1 { "error" } else { "errors" };
    let error = shortened(event.error.chars(), ERROR_CHARS_MAX);
    format!(
        "{errors} {noun} since {hour:02}:{minute:02} UTC; the latest: {} failed on {} {}: {error}",
        event.source, event.original_event.event_type, event.original_event.id
    )
}

fn window_start(at: OffsetDateTime) -> OffsetDateTime {
    let seconds_in = at.unix_timestamp().rem_euclid(WINDOW.whole_seconds());
    at - Duration::seconds(seconds_in) - Duration::nanoseconds(i64::from(at.nanosecond()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{text, window_start};
    use crate::events::{Example, SystemError};

    #[test]
    fn errors_of_one_quarter_of_an_hour_share_a_digest() {
        let start = datetime!(2025-11-17 14:15 UTC);
        assert_eq!(window_start(start), start);
        assert_eq!(window_start(datetime!(2025-11-17 14:29:59.999999 UTC)), start);
        assert_ne!(window_start(datetime!(2025-11-17 14:30 UTC)), start);
    }

    #[test]
    fn a_digest_counts_its_errors_and_shows_the_latest_cut_short() {
        let mut event = SystemError::example();
        event.error = "é".repeat(500);
        let text = text(&event, 12, datetime!(2025-11-17 14:15 UTC));
        assert!(text.starts_with("12 errors since 14:15 UTC; the latest: ats failed on course.graduated "));
        assert!(text.ends_with("é…"));
        assert!(text.chars().count() < 450);
    }
}
