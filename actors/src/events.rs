//! The catalogue: every event of the school and the agency, and the only words
//! that the modules share.
//!
//! The JSON of an event is a stored format for ever. Names are camelCase, ids are
//! UUIDs, money is whole currency units, dates and times are ISO 8601. A snapshot
//! test holds each of them.

use serde::Serialize;
use stentor::Event;
use stentor::catalogue::{Catalogue, TypeClash};
use uuid::Uuid;

mod academy;
mod achievements;
mod ai;
mod ats;
mod hr;
mod notifications;
mod trikala;

pub(crate) use academy::check_score;
pub use academy::{CourseGraduated, QuizPassed, ScoreOutOfRange, TopicCompleted};
pub use achievements::AchievementEarned;
pub use ai::{ConversationEnded, CrossPollinationOpportunity};
pub use ats::{ApplicationSubmitted, CandidateCreated, CandidatePlaced, InterviewScheduled, JobPosted};
pub use hr::{EmployeeHired, ExpenseApproved, LeaveApproved, TimesheetSubmitted};
pub use notifications::{EmailQueued, NotificationKind, NotificationSend, SlackQueued, WebhookQueued};
pub use stentor::{OriginalEvent, SystemError};
pub use trikala::{GoalAchieved, WorkflowCompleted};

/// An event that can show what it looks like.
pub trait Example: Event {
    /// Makes an event with plausible content, the same every time.
    fn example() -> Self;
}

/// What an event of one type looks like when it is stored.
#[derive(Debug, Clone, Serialize)]
pub struct ExamplePayload {
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// An example of its payload.
    pub payload: serde_json::Value,
}

/// Says once which types the catalogue holds.
macro_rules! catalogue_of {
    ($($event:ident),* $(,)?) => {
        fn add_all(catalogue: &mut Catalogue) -> Result<(), TypeClash> {
            $(catalogue.add_with_schema::<$event>()?;)*
            Ok(())
        }

        /// Returns an example of every type in the catalogue.
        ///
        /// # Errors
        ///
        /// Fails if an event cannot be written as JSON.
        pub fn examples() -> Result<Vec<ExamplePayload>, serde_json::Error> {
            Ok(vec![$(ExamplePayload {
                event_type: <$event>::TYPE,
                payload: serde_json::to_value(<$event>::example())?,
            }),*])
        }
    };
}

catalogue_of![
    TopicCompleted,
    QuizPassed,
    CourseGraduated,
    EmployeeHired,
    TimesheetSubmitted,
    LeaveApproved,
    ExpenseApproved,
    CandidateCreated,
    JobPosted,
    ApplicationSubmitted,
    InterviewScheduled,
    CandidatePlaced,
    WorkflowCompleted,
    GoalAchieved,
    ConversationEnded,
    CrossPollinationOpportunity,
    AchievementEarned,
    NotificationSend,
    EmailQueued,
    WebhookQueued,
    SlackQueued,
    SystemError,
];

/// Returns every event type that the modules publish or react to.
#[must_use]
pub fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    match add_all(&mut catalogue) {
        Ok(()) => catalogue,
        Err(clash) => unreachable!("the list above names a type twice: {clash}"),
    }
}

impl Example for SystemError {
    fn example() -> Self {
        Self {
            source: "ats".to_owned(),
            error: "database is locked".to_owned(),
            original_event: OriginalEvent { id: example_id(1), event_type: CourseGraduated::TYPE.to_owned() },
        }
    }
}

/// Returns an id for an example; each number makes another.
const fn example_id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}
