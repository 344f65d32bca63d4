//! The academy: students complete topics and pass quizzes, and graduate.

use stentor::{
    Bus, Context, Fatal, Handle, HandlerError, Module, ModuleOptions, Publication, PublishError, Receipt,
    Subscriptions, Transaction, args,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{CourseGraduated, QuizPassed, ScoreOutOfRange, TopicCompleted, check_score};
use crate::people::unknown;

/// Records what students achieve, and graduates those who completed a course.
#[derive(Debug)]
pub struct Academy;

impl Module for Academy {
    const NAME: &'static str = "academy";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<TopicCompleted>();
        on.event::<QuizPassed>();
    }

    /// Several workers, as completions of different students have nothing to do with each other.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(4).deliveries_per_transaction(32)
    }
}

/// A topic could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteTopicError {
    /// The score is not one.
    #[error(transparent)]
    Score(#[from] ScoreOutOfRange),
    /// The event could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Completes a topic for `user`: publishes `topic.completed`, to which the academy reacts.
///
/// # Errors
///
/// Fails if `score` is not between 0 and 100, or the event cannot be published.
pub async fn complete_topic(
    bus: &Bus,
    user: Uuid,
    topic: Uuid,
    score: f64,
) -> Result<Receipt, CompleteTopicError> {
    check_score(score)?;
    let completed = TopicCompleted { user_id: user, topic_id: topic, score };
    Ok(bus.publish(Publication::new(completed).created_by(user)).await?)
}

impl Handle<TopicCompleted> for Academy {
    async fn handle(&mut self, event: &TopicCompleted, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        check_score(event.score).fatal()?;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        if !record_completion(tx, event, at).await? {
            return Ok(());
        }
        let Some(course) = advance(tx, event).await? else {
            return Ok(());
        };
        let Some(final_score) = final_score(tx, event.user_id, course).await? else {
            return Ok(());
        };
        graduate(tx, event.user_id, course, final_score, at).await?;
        cx.publish(CourseGraduated { user_id: event.user_id, course_id: course, final_score })?;
        Ok(())
    }
}

/// Records the completion; returns false if it had been recorded before.
async fn record_completion(
    tx: &mut Transaction,
    event: &TopicCompleted,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const RECORD: &str = "INSERT INTO topic_completions (user_id, topic_id, score, completed_at)
        VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, topic_id) DO NOTHING";
    let TopicCompleted { user_id, topic_id, score } = *event;
    let recorded = tx.execute(RECORD, args![user_id, topic_id, score, at]).await.map_err(|error| {
        unknown(error, || format!("student {user_id} or topic {topic_id} does not exist"))
    })?;
    Ok(recorded > 0)
}

/// Counts one more topic of the course, and returns the course if that may have been the last one.
///
/// The row stays locked until the commit, so of two last topics completed at once
/// the second one sees the first.
async fn advance(tx: &mut Transaction, event: &TopicCompleted) -> Result<Option<Uuid>, HandlerError> {
    const ADVANCE: &str = "INSERT INTO course_progress (user_id, course_id, topics_completed)
        SELECT $1, course_id, 1 FROM topics WHERE id = $2
        ON CONFLICT (user_id, course_id) DO UPDATE SET topics_completed = course_progress.topics_completed + 1
        RETURNING course_id, topics_completed, graduated_at IS NOT NULL AS graduated,
            (SELECT COUNT(*) FROM topics t WHERE t.course_id = course_progress.course_id AND t.required)
                AS topics_required";
    let progress = tx.fetch_one(ADVANCE, args![event.user_id, event.topic_id]).await?;
    let graduated: bool = progress.get("graduated")?;
    let completed: i64 = progress.get("topics_completed")?;
    let required: i64 = progress.get("topics_required")?;
    // Optional topics are counted too, so this is a necessary condition, not a sufficient one.
    if graduated || completed < required {
        return Ok(None);
    }
    Ok(Some(progress.get("course_id")?))
}

/// Returns the mean score of the course's required topics, once all of them are completed.
async fn final_score(tx: &mut Transaction, user: Uuid, course: Uuid) -> Result<Option<f64>, HandlerError> {
    const SCORE: &str = "SELECT COUNT(*) - COUNT(c.topic_id) AS missing, AVG(c.score) AS final_score
        FROM topics t LEFT JOIN topic_completions c ON c.topic_id = t.id AND c.user_id = $1
        WHERE t.course_id = $2 AND t.required";
    let row = tx.fetch_one(SCORE, args![user, course]).await?;
    let missing: i64 = row.get("missing")?;
    if missing > 0 {
        return Ok(None);
    }
    Ok(row.get("final_score")?)
}

async fn graduate(
    tx: &mut Transaction,
    user: Uuid,
    course: Uuid,
    final_score: f64,
    at: OffsetDateTime,
) -> Result<(), HandlerError> {
    const GRADUATE: &str = "UPDATE course_progress SET graduated_at = $3, final_score = $4
        WHERE user_id = $1 AND course_id = $2";
    // The first graduation is the one that counts.
    const PROFILE: &str = "UPDATE user_profiles SET student_graduation_date = $2
        WHERE id = $1 AND student_graduation_date IS NULL";
    tx.execute(GRADUATE, args![user, course, at, final_score]).await?;
    tx.execute(PROFILE, args![user, at]).await?;
    Ok(())
}

impl Handle<QuizPassed> for Academy {
    async fn handle(&mut self, event: &QuizPassed, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const RECORD: &str = "INSERT INTO quiz_results (user_id, quiz_id, score, passed_at)
            VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, quiz_id) DO NOTHING";
        check_score(event.score).fatal()?;
        let QuizPassed { user_id, quiz_id, score } = *event;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        tx.execute(RECORD, args![user_id, quiz_id, score, at]).await.map_err(|error| {
            unknown(error, || format!("student {user_id} or quiz {quiz_id} does not exist"))
        })?;
        Ok(())
    }
}
