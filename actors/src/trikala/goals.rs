//! Goals: a pod wants to complete so many workflows of its members.

use stentor::{Context, Handle, HandlerError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Trikala;
use crate::events::{GoalAchieved, WorkflowCompleted};
use crate::people::unknown;

impl Handle<WorkflowCompleted> for Trikala {
    async fn handle(&mut self, event: &WorkflowCompleted, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        let Some(goal) = count(tx, event, at).await? else {
            return Ok(());
        };
        if let Some(achieved) = advance(tx, goal, event.workflow_id, at).await? {
            cx.publish(achieved)?;
        }
        Ok(())
    }
}

/// Counts the workflow for the open goal of the user's pod, and returns the goal.
///
/// Returns nothing if there is no such goal, or the workflow has counted before. A goal
/// counts what was completed while it was open, so that an event delivered again after
/// years does not count for a new goal.
async fn count(
    tx: &mut Transaction,
    event: &WorkflowCompleted,
    at: OffsetDateTime,
) -> Result<Option<Uuid>, HandlerError> {
    const COUNT: &str = "INSERT INTO goal_advances (goal_id, workflow_id, advanced_at)
        SELECT g.id, $1, $3 FROM pod_goals g JOIN pod_members m ON m.pod_id = g.pod_id
        WHERE m.user_id = $2 AND g.achieved_at IS NULL AND g.opened_at <= $3
        ON CONFLICT DO NOTHING RETURNING goal_id";
    let WorkflowCompleted { workflow_id, user_id } = *event;
    let counted = tx
        .fetch_optional(COUNT, args![workflow_id, user_id, at])
        .await
        .map_err(|error| unknown(error, || format!("workflow {workflow_id} does not exist")))?;
    Ok(counted.map(|row| row.get("goal_id")).transpose()?)
}

/// Advances the goal by one; returns what there is to tell once it is achieved.
///
/// The row stays locked until the commit, so of several last steps at once one is the last.
async fn advance(
    tx: &mut Transaction,
    goal_id: Uuid,
    workflow: Uuid,
    at: OffsetDateTime,
) -> Result<Option<GoalAchieved>, HandlerError> {
    const ADVANCE: &str = "UPDATE pod_goals SET progress = progress + 1,
            achieved_at = CASE WHEN progress + 1 = target THEN $2 END
        WHERE id = $1 AND achieved_at IS NULL
        RETURNING pod_id, CAST(progress AS DOUBLE PRECISION) AS value, achieved_at IS NOT NULL AS achieved";
    // Others achieved the goal while this one waited for them.
    const TOO_LATE: &str = "DELETE FROM goal_advances WHERE goal_id = $1 AND workflow_id = $2";
    let Some(row) = tx.fetch_optional(ADVANCE, args![goal_id, at]).await? else {
        tx.execute(TOO_LATE, args![goal_id, workflow]).await?;
        return Ok(None);
    };
    if !row.get::<bool>("achieved")? {
        return Ok(None);
    }
    Ok(Some(GoalAchieved { goal_id, pod_id: row.get("pod_id")?, value: row.get("value")? }))
}
