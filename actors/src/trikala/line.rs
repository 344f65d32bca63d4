//! The line of those who wait for a place, in the order of asking.
//!
//! At every commit there is either no room or nobody waits. Whoever takes or frees
//! a place, or waits for one, first takes a turn and holds it until the commit:
//! otherwise somebody could join the line, and another free a place, without
//! either seeing the other. It is also the first thing that any of them locks, so
//! that transactions of many deliveries never wait for each other in a circle.

use stentor::{HandlerError, StoreError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::places;
use crate::events::{NotificationKind, NotificationSend};
use crate::people::{self, Role};

/// How many move up in a round, so that a delivery stays within SQLite's limit for a transaction.
///
/// A delivery makes one round. More have room only where somebody made it by hand; they
/// move up with those who come next.
const ROUND: i64 = 100;

/// Somebody who waited and has a place now.
pub(super) struct Seated {
    pub(super) user_id: Uuid,
    /// What the pod's senior is told.
    pub(super) letter: NotificationSend,
}

/// Waits for everyone else who changes places or the line, and holds them until the commit.
pub(super) async fn take_turn(tx: &mut Transaction) -> Result<(), StoreError> {
    tx.execute("UPDATE pod_waitlist_turns SET turns = turns + 1", args![]).await?;
    Ok(())
}

/// Puts a junior in line, and returns who is told what. The caller has the turn.
pub(super) async fn wait(
    tx: &mut Transaction,
    junior: Uuid,
    requested_at: OffsetDateTime,
) -> Result<Vec<NotificationSend>, HandlerError> {
    const WAIT: &str = "INSERT INTO pod_waitlist (user_id, requested_at) VALUES ($1, $2)";
    tx.execute(WAIT, args![junior, requested_at]).await?;
    // Others wait although there is room if it was made by hand.
    let seated = move_up(tx, requested_at).await?;
    let still_waits = seated.iter().all(|other| other.user_id != junior);
    let mut letters: Vec<_> = seated.into_iter().map(|other| other.letter).collect();
    if still_waits {
        letters.extend(tell_admins(tx, junior).await?);
    }
    Ok(letters)
}

/// Gives the first in line the places of a pod that has room; returns nobody once there is no line or no room.
///
/// The caller has the turn.
pub(super) async fn move_up(tx: &mut Transaction, at: OffsetDateTime) -> Result<Vec<Seated>, StoreError> {
    // Whoever was given a place by hand waits no more.
    const FORGET: &str = "DELETE FROM pod_waitlist
        WHERE EXISTS (SELECT 1 FROM pod_members m WHERE m.user_id = pod_waitlist.user_id)";
    const JOIN: &str = "INSERT INTO pod_members (user_id, pod_id, role, joined_at)
        SELECT user_id, $1, 'junior', $2 FROM pod_waitlist ORDER BY requested_at, user_id
        LIMIT (SELECT CASE WHEN capacity - members < $3 THEN capacity - members ELSE $3 END FROM pods WHERE id = $1)";
    const LEAVE: &str = "DELETE FROM pod_waitlist
        WHERE user_id IN (SELECT user_id FROM pod_members WHERE pod_id = $1)
        RETURNING user_id, (SELECT full_name FROM user_profiles p WHERE p.id = pod_waitlist.user_id) AS full_name";
    const COUNT: &str = "UPDATE pods SET members = members + $2 WHERE id = $1";
    let Some(pod) = places::lock(tx).await? else {
        return Ok(Vec::new());
    };
    tx.execute(FORGET, args![]).await?;
    tx.execute(JOIN, args![pod.id, at, ROUND]).await?;
    let mut seated = Vec::new();
    for row in tx.fetch_all(LEAVE, args![pod.id]).await? {
        let letter = pod.welcome(&row.get::<String>("full_name")?);
        seated.push(Seated { user_id: row.get("user_id")?, letter });
    }
    tx.execute(COUNT, args![pod.id, i64::try_from(seated.len()).unwrap_or(ROUND)]).await?;
    Ok(seated)
}

/// Returns what the admins are told about somebody for whom no pod has room.
async fn tell_admins(tx: &mut Transaction, junior: Uuid) -> Result<Vec<NotificationSend>, HandlerError> {
    let name = people::name_of(tx, junior).await?;
    let admins = people::with_role(tx, Role::Admin).await?;
    let message = format!("{name} graduated and waits for a place in a pod; add a pod or raise a capacity");
    let letter =
        |admin| NotificationSend::quoting(admin, "No Pod Has Room", &message, NotificationKind::Warning);
    Ok(admins.into_iter().map(letter).collect())
}
