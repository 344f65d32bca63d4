//! Events of the academy: students learn and graduate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use uuid::Uuid;

use super::{Example, example_id};

/// A score is not between 0 and 100.
#[derive(Debug, thiserror::Error)]
#[error("score is {0}, allowed are 0 to 100")]
pub struct ScoreOutOfRange(f64);

/// Refuses what is no score, which JSON lets through.
pub(crate) fn check_score(score: f64) -> Result<(), ScoreOutOfRange> {
    if (0.0..=100.0).contains(&score) { Ok(()) } else { Err(ScoreOutOfRange(score)) }
}

/// A student completed a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicCompleted {
    /// The student.
    pub user_id: Uuid,
    /// The topic.
    pub topic_id: Uuid,
    /// The score, 0 to 100.
    pub score: f64,
}

impl Event for TopicCompleted {
    const TYPE: &'static str = "topic.completed";
}

impl Example for TopicCompleted {
    fn example() -> Self {
        Self { user_id: example_id(11), topic_id: example_id(12), score: 87.5 }
    }
}

/// A student passed a quiz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuizPassed {
    /// The student.
    pub user_id: Uuid,
    /// The quiz.
    pub quiz_id: Uuid,
    /// The score, 0 to 100.
    pub score: f64,
}

impl Event for QuizPassed {
    const TYPE: &'static str = "quiz.passed";
}

impl Example for QuizPassed {
    fn example() -> Self {
        Self { user_id: example_id(11), quiz_id: example_id(13), score: 92.0 }
    }
}

/// A student completed the last required topic of a course.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CourseGraduated {
    /// The graduate.
    pub user_id: Uuid,
    /// The course.
    pub course_id: Uuid,
    /// The mean score of the required topics, 0 to 100.
    pub final_score: f64,
}

impl Event for CourseGraduated {
    const TYPE: &'static str = "course.graduated";
}

impl Example for CourseGraduated {
    fn example() -> Self {
        Self { user_id: example_id(11), course_id: example_id(14), final_score: 95.0 }
    }
}
