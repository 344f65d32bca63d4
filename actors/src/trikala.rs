//! Trikala: pods, each a senior with a few juniors.

use stentor::{Context, Handle, HandlerError, Module, Subscriptions, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{CourseGraduated, NotificationKind, NotificationSend};
use crate::people::{self, Role, unknown};

/// Finds graduates a place in a pod.
#[derive(Debug)]
pub struct Trikala;

impl Module for Trikala {
    const NAME: &'static str = "trikala";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CourseGraduated>();
    }
}

/// A place in a pod that has just been taken.
struct Place {
    pod_id: Uuid,
    pod_name: String,
    senior_id: Uuid,
    junior_name: String,
}

impl Handle<CourseGraduated> for Trikala {
    async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let junior = event.user_id;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        if !request_place(tx, junior, at).await? {
            return Ok(());
        }
        let letters = match take_place(tx, junior).await? {
            Some(place) => vec![join(tx, junior, place, at).await?],
            None => tell_admins(tx, junior).await?,
        };
        for letter in letters {
            cx.publish(letter)?;
        }
        Ok(())
    }
}

/// Puts the junior's request down; returns false if there was one, or there is no need for one.
///
/// Of two requests at once for one person the second waits here for the first one's commit.
async fn request_place(tx: &mut Transaction, junior: Uuid, at: OffsetDateTime) -> Result<bool, HandlerError> {
    const REQUEST: &str = "INSERT INTO pod_requests (user_id, requested_at)
        SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM pod_members WHERE user_id = $1)
        ON CONFLICT (user_id) DO NOTHING";
    let requested = tx
        .execute(REQUEST, args![junior, at])
        .await
        .map_err(|error| unknown(error, || format!("user {junior} does not exist")))?;
    Ok(requested > 0)
}

/// Takes a place in the pod with the fewest members, if any has room.
///
/// The pod is chosen before its row is locked. If others took its last place in
/// between, the second condition fails and the next round chooses among the rest.
async fn take_place(tx: &mut Transaction, junior: Uuid) -> Result<Option<Place>, HandlerError> {
    const TAKE: &str = "UPDATE pods SET members = members + 1
        WHERE id = (SELECT id FROM pods WHERE members < capacity ORDER BY members, id LIMIT 1) AND members < capacity
        RETURNING id, name, senior_id, (SELECT full_name FROM user_profiles WHERE user_profiles.id = $1) AS junior_name";
    const ROOM: &str = "SELECT 1 AS room FROM pods WHERE members < capacity LIMIT 1";
    loop {
        if let Some(row) = tx.fetch_optional(TAKE, args![junior]).await? {
            return Ok(Some(Place {
                pod_id: row.get("id")?,
                pod_name: row.get("name")?,
                senior_id: row.get("senior_id")?,
                junior_name: row.get("junior_name")?,
            }));
        }
        if tx.fetch_optional(ROOM, args![]).await?.is_none() {
            return Ok(None);
        }
    }
}

/// Enters the junior into the pod, and returns what its senior is told.
async fn join(
    tx: &mut Transaction,
    junior: Uuid,
    place: Place,
    at: OffsetDateTime,
) -> Result<NotificationSend, HandlerError> {
    const JOIN: &str =
        "INSERT INTO pod_members (user_id, pod_id, role, joined_at) VALUES ($1, $2, 'junior', $3)";
    tx.execute(JOIN, args![junior, place.pod_id, at]).await?;
    Ok(NotificationSend {
        user_id: place.senior_id,
        title: "New Pod Member".to_owned(),
        message: format!("{} joined your pod {}", place.junior_name, place.pod_name),
        kind: NotificationKind::Info,
    })
}

/// Returns what the admins are told about somebody for whom no pod has room.
async fn tell_admins(tx: &mut Transaction, junior: Uuid) -> Result<Vec<NotificationSend>, HandlerError> {
    let name = people::name_of(tx, junior).await?;
    let admins = people::with_role(tx, Role::Admin).await?;
    let letter = |admin| NotificationSend {
        user_id: admin,
        title: "No Pod Has Room".to_owned(),
        message: format!("{name} graduated and waits for a place in a pod; add a pod or raise a capacity"),
        kind: NotificationKind::Warning,
    };
    Ok(admins.into_iter().map(letter).collect())
}
