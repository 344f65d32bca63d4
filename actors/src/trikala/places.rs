//! Places in pods: as long as nobody waits, whoever comes takes one of them.

use stentor::{Row, StoreError, Transaction, Value, args};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{NotificationKind, NotificationSend};

/// A pod, as its senior and its juniors know it.
pub(super) struct Pod {
    pub(super) id: Uuid,
    name: String,
    senior_id: Uuid,
}

impl Pod {
    /// Returns what the senior is told about a new junior.
    pub(super) fn welcome(&self, junior: &str) -> NotificationSend {
        let message = format!("{junior} joined your pod {}", self.name);
        NotificationSend::quoting(self.senior_id, "New Pod Member", &message, NotificationKind::Info)
    }
}

/// Takes a place in the pod with the fewest members, and returns what its senior is told.
///
/// Returns nothing if there is no room, or others wait: they come first.
pub(super) async fn take(
    tx: &mut Transaction,
    junior: Uuid,
    at: OffsetDateTime,
) -> Result<Option<NotificationSend>, StoreError> {
    const TAKE: &str = "UPDATE pods SET members = members + 1
        WHERE id = (SELECT id FROM pods WHERE members < capacity ORDER BY members, id LIMIT 1) AND members < capacity
            AND NOT EXISTS (SELECT 1 FROM pod_waitlist)
        RETURNING id, name, senior_id, (SELECT full_name FROM user_profiles WHERE user_profiles.id = $1) AS junior_name";
    const ROOM: &str = "SELECT 1 AS room FROM pods
        WHERE members < capacity AND NOT EXISTS (SELECT 1 FROM pod_waitlist) LIMIT 1";
    const JOIN: &str =
        "INSERT INTO pod_members (user_id, pod_id, role, joined_at) VALUES ($1, $2, 'junior', $3)";
    let Some((pod, row)) = claim(tx, TAKE, args![junior], ROOM).await? else {
        return Ok(None);
    };
    tx.execute(JOIN, args![junior, pod.id, at]).await?;
    Ok(Some(pod.welcome(&row.get::<String>("junior_name")?)))
}

/// Locks a pod that has room, if there is one: nobody else takes or frees a place in it until the commit.
pub(super) async fn lock(tx: &mut Transaction) -> Result<Option<Pod>, StoreError> {
    const LOCK: &str = "UPDATE pods SET members = members
        WHERE id = (SELECT id FROM pods WHERE members < capacity ORDER BY members, id LIMIT 1) AND members < capacity
        RETURNING id, name, senior_id";
    const ROOM: &str = "SELECT 1 AS room FROM pods WHERE members < capacity LIMIT 1";
    let claimed = claim(tx, LOCK, args![], ROOM).await?;
    Ok(claimed.map(|(pod, _)| pod))
}

/// Updates a pod with `claim` as long as `room` says that one can be had.
///
/// The pod is chosen before its row is locked. If others took its last place in
/// between, the second condition fails and the next round chooses among the rest.
async fn claim(
    tx: &mut Transaction,
    claim: &str,
    args: Vec<Value>,
    room: &str,
) -> Result<Option<(Pod, Row)>, StoreError> {
    loop {
        if let Some(row) = tx.fetch_optional(claim, args.clone()).await? {
            let pod = Pod { id: row.get("id")?, name: row.get("name")?, senior_id: row.get("senior_id")? };
            return Ok(Some((pod, row)));
        }
        if tx.fetch_optional(room, args![]).await?.is_none() {
            return Ok(None);
        }
    }
}
