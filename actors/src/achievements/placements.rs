//! Placements: a commission for each, and a trophy for the tenth.

use stentor::{Context, Event, Handle, HandlerError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Achievements;
use crate::events::{AchievementEarned, CandidatePlaced};
use crate::people::absent;

/// How many placements earn [`TROPHY`].
const TROPHY_PLACEMENTS: i64 = 10;
/// What a recruiter earns by [`TROPHY_PLACEMENTS`].
const TROPHY: &str = "10_placements";

impl Handle<CandidatePlaced> for Achievements {
    async fn handle(&mut self, event: &CandidatePlaced, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        if event.salary <= 0 {
            let wrong = format!("the salary is {}, allowed are amounts from 1 on", event.salary);
            return Err(HandlerError::fatal(wrong));
        }
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        let Some(recruiter) = pay_commission(tx, event, self.commission.of(event.salary), at).await? else {
            return Ok(());
        };
        if count(tx, recruiter).await? == TROPHY_PLACEMENTS && earn(tx, recruiter, at).await? {
            cx.publish(AchievementEarned { user_id: recruiter, achievement_id: TROPHY.to_owned() })?;
        }
        Ok(())
    }
}

/// Pays the recruiter of a placement, and returns who that is; nothing if it had been paid before.
async fn pay_commission(
    tx: &mut Transaction,
    event: &CandidatePlaced,
    commission: i64,
    at: OffsetDateTime,
) -> Result<Option<Uuid>, HandlerError> {
    // The conflict may be with another recruiter's row, so no key is named.
    const PAY: &str = "INSERT INTO xp_transactions (user_id, source, amount, reason, created_at)
        SELECT p.recruiter_id, $1, $2, 'Placement bonus for ' || c.full_name, $3
        FROM placements p JOIN user_profiles c ON c.id = p.candidate_id
        WHERE p.candidate_id = $4 AND p.job_id = $5
        ON CONFLICT DO NOTHING RETURNING user_id";
    const PLACEMENT: &str = "SELECT 1 AS known FROM placements WHERE candidate_id = $1 AND job_id = $2";
    let CandidatePlaced { candidate_id, job_id, .. } = *event;
    let source = format!("{}/{candidate_id}/{job_id}", CandidatePlaced::TYPE);
    let pay = args![source, commission, at, candidate_id, job_id];
    if let Some(paid) = tx.fetch_optional(PAY, pay).await? {
        return Ok(Some(paid.get("user_id")?));
    }
    match tx.fetch_optional(PLACEMENT, args![candidate_id, job_id]).await? {
        Some(_) => Ok(None),
        None => Err(absent(&format!("no placement of candidate {candidate_id} in job {job_id} exists"))),
    }
}

/// Counts one more placement of the recruiter, and returns how many that makes.
///
/// The row stays locked until the commit, so placements that are handled at once get a number each.
async fn count(tx: &mut Transaction, recruiter: Uuid) -> Result<i64, HandlerError> {
    const COUNT: &str = "INSERT INTO recruiter_placements (recruiter_id, placements) VALUES ($1, 1)
        ON CONFLICT (recruiter_id) DO UPDATE SET placements = recruiter_placements.placements + 1
        RETURNING placements";
    Ok(tx.fetch_one(COUNT, args![recruiter]).await?.get("placements")?)
}

/// Enters the trophy; returns false if the recruiter had it before.
async fn earn(tx: &mut Transaction, recruiter: Uuid, at: OffsetDateTime) -> Result<bool, HandlerError> {
    const EARN: &str = "INSERT INTO achievements (user_id, achievement_id, earned_at) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, achievement_id) DO NOTHING";
    Ok(tx.execute(EARN, args![recruiter, TROPHY, at]).await? > 0)
}
