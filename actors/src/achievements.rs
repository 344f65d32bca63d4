//! Achievements: experience points for what people do, and trophies for what they keep doing.
//!
//! Points are paid by source, the type and the id of what they are for: nobody is
//! paid twice for the same thing, however many events tell of it.

use stentor::{Context, Event, Fatal, Handle, HandlerError, Module, ModuleOptions, Subscriptions, args};
use uuid::Uuid;

use crate::events::{CandidatePlaced, GoalAchieved, QuizPassed, TopicCompleted, check_score};
use crate::people::{absent, unknown};

mod placements;
mod settings;

pub use settings::{Percent, PercentOutOfRange, Settings};

/// How many points a student gets for a topic.
pub const TOPIC_XP: i64 = 10;
/// How many points a student gets for a quiz.
pub const QUIZ_XP: i64 = 20;
/// How many points each member of a pod gets for a goal.
pub const GOAL_XP: i64 = 100;

/// Awards points and achievements.
#[derive(Debug, Clone, Default)]
pub struct Achievements {
    commission: Percent,
}

impl Achievements {
    /// Makes the module that `settings` describe.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { commission: settings.commission_percent }
    }
}

impl Module for Achievements {
    const NAME: &'static str = "achievements";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CandidatePlaced>();
        on.event::<GoalAchieved>();
        on.event::<QuizPassed>();
        on.event::<TopicCompleted>();
    }

    /// As many workers as the academy has, which hears of every topic too.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(4).deliveries_per_transaction(32)
    }
}

/// Names what points are paid for.
fn source<E: Event>(id: Uuid) -> String {
    format!("{}/{id}", E::TYPE)
}

/// What a student did at the academy.
struct Work {
    student: Uuid,
    id: Uuid,
    score: f64,
    source: String,
    xp: i64,
}

impl Handle<TopicCompleted> for Achievements {
    async fn handle(&mut self, event: &TopicCompleted, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const PAY: &str = "INSERT INTO xp_transactions (user_id, source, amount, reason, created_at)
            SELECT $1, $2, $3, 'Completed ' || title, $4 FROM topics WHERE id = $5
            ON CONFLICT (user_id, source) DO NOTHING";
        let TopicCompleted { user_id: student, topic_id: id, score } = *event;
        let work = Work { student, id, score, source: source::<TopicCompleted>(id), xp: TOPIC_XP };
        pay_student(cx, PAY, work).await
    }
}

impl Handle<QuizPassed> for Achievements {
    async fn handle(&mut self, event: &QuizPassed, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const PAY: &str = "INSERT INTO xp_transactions (user_id, source, amount, reason, created_at)
            SELECT $1, $2, $3, 'Passed ' || title, $4 FROM quizzes WHERE id = $5
            ON CONFLICT (user_id, source) DO NOTHING";
        let QuizPassed { user_id: student, quiz_id: id, score } = *event;
        let work = Work { student, id, score, source: source::<QuizPassed>(id), xp: QUIZ_XP };
        pay_student(cx, PAY, work).await
    }
}

/// Pays a student by `pay`, the only statement unless nothing was paid: then it is asked why.
async fn pay_student(cx: &mut Context<'_>, pay: &str, work: Work) -> Result<(), HandlerError> {
    const PAID: &str = "SELECT 1 AS paid FROM xp_transactions WHERE user_id = $1 AND source = $2";
    let Work { student, id, score, source, xp } = work;
    check_score(score).fatal()?;
    let at = cx.envelope().created_at;
    let missing = || format!("student {student} or {source} does not exist");
    let tx = cx.transaction().await?;
    let paid = tx
        .execute(pay, args![student, &source, xp, at, id])
        .await
        .map_err(|error| unknown(error, missing))?;
    if paid == 0 && tx.fetch_optional(PAID, args![student, &source]).await?.is_none() {
        return Err(absent(&missing()));
    }
    Ok(())
}

impl Handle<GoalAchieved> for Achievements {
    async fn handle(&mut self, event: &GoalAchieved, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        // Whoever joined later had no part in it, even if the event is delivered again by then.
        const PAY: &str = "INSERT INTO xp_transactions (user_id, source, amount, reason, created_at)
            SELECT m.user_id, $1, $2, p.name || ' achieved a goal', $3
            FROM pod_members m JOIN pods p ON p.id = m.pod_id
            WHERE m.pod_id = $4 AND m.joined_at <= $3 ORDER BY m.user_id
            ON CONFLICT (user_id, source) DO NOTHING";
        const POD: &str = "SELECT 1 AS known FROM pods WHERE id = $1";
        let GoalAchieved { goal_id, pod_id, .. } = *event;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        let paid = tx.execute(PAY, args![source::<GoalAchieved>(goal_id), GOAL_XP, at, pod_id]).await?;
        if paid == 0 && tx.fetch_optional(POD, args![pod_id]).await?.is_none() {
            return Err(absent(&format!("pod {pod_id} does not exist")));
        }
        Ok(())
    }
}
