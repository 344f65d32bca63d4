//! What an admin does with pods; whoever is first in line takes a place that becomes free.

use stentor::bus::BusTransaction;
use stentor::{Bus, PublishError, StoreError, args};
use uuid::Uuid;

use super::line;
use crate::people;

/// Somebody could not leave a pod.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeavePodError {
    /// The user is a member of no pod.
    #[error("user {0} is in no pod")]
    NoMember(Uuid),
    /// The event could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A pod's capacity could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetCapacityError {
    /// There is no such pod.
    #[error("pod {0} does not exist")]
    Pod(Uuid),
    /// The pod has more members than that.
    #[error("the capacity is {capacity}, allowed are {members} and more, as so many are in the pod")]
    TooSmall {
        /// The capacity that was asked for.
        capacity: u32,
        /// How many juniors the pod has.
        members: i64,
    },
    /// The event could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes `user` out of the pod, and gives the place to whoever is first in line, all at once.
///
/// Returns who moved up. The senior is told by `notification.send`. Whoever left
/// does not come back by graduating again.
///
/// # Errors
///
/// Fails if the user is a member of no pod.
pub async fn leave_pod(bus: &Bus, user: Uuid) -> Result<Vec<Uuid>, LeavePodError> {
    const LEAVE: &str = "DELETE FROM pod_members WHERE user_id = $1 RETURNING pod_id";
    const FREE: &str = "UPDATE pods SET members = members - 1 WHERE id = $1";
    let mut tx = bus.begin().await?;
    line::take_turn(&mut tx).await?;
    let Some(membership) = tx.fetch_optional(LEAVE, args![user]).await? else {
        return Err(LeavePodError::NoMember(user));
    };
    tx.execute(FREE, args![membership.get::<Uuid>("pod_id")?]).await?;
    let seated = seat_all::<LeavePodError>(&mut tx).await?;
    tx.commit().await?;
    Ok(seated)
}

/// Sets how many juniors a pod has room for, and gives new places to the first in line, all at once.
///
/// Returns who moved up. The senior is told of each by `notification.send`.
///
/// # Errors
///
/// Fails if there is no such pod, or it has more juniors than that.
pub async fn set_capacity(bus: &Bus, pod: Uuid, capacity: u32) -> Result<Vec<Uuid>, SetCapacityError> {
    const SET: &str = "UPDATE pods SET capacity = $2 WHERE id = $1 AND members <= $2";
    const MEMBERS: &str = "SELECT members FROM pods WHERE id = $1";
    let mut tx = bus.begin().await?;
    line::take_turn(&mut tx).await?;
    if tx.execute(SET, args![pod, capacity]).await? == 0 {
        return Err(match tx.fetch_optional(MEMBERS, args![pod]).await? {
            Some(row) => SetCapacityError::TooSmall { capacity, members: row.get("members")? },
            None => SetCapacityError::Pod(pod),
        });
    }
    let seated = seat_all::<SetCapacityError>(&mut tx).await?;
    tx.commit().await?;
    Ok(seated)
}

/// Lets the line move up as far as there is room, and tells the seniors.
async fn seat_all<E>(tx: &mut BusTransaction) -> Result<Vec<Uuid>, E>
where
    E: From<PublishError> + From<StoreError>,
{
    let now = people::now(tx).await?;
    let mut users = Vec::new();
    loop {
        let round = line::move_up(tx, now).await?;
        if round.is_empty() {
            return Ok(users);
        }
        for seated in round {
            users.push(seated.user_id);
            tx.publish(seated.letter)?;
        }
    }
}
