//! Events of applicant tracking: candidates, jobs and what brings them together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stentor::Event;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{Example, example_id};

/// Somebody became a candidate and sits on the bench.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateCreated {
    /// The new candidate.
    pub user_id: Uuid,
}

impl Event for CandidateCreated {
    const TYPE: &'static str = "candidate.created";
    /// For the audit trail: the module that publishes it has done all there is to do.
    const EXPECTS_SUBSCRIBER: bool = false;
}

impl Example for CandidateCreated {
    fn example() -> Self {
        Self { user_id: example_id(11) }
    }
}

/// A client offers a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPosted {
    /// The job.
    pub job_id: Uuid,
    /// The client.
    pub client_id: Uuid,
}

impl Event for JobPosted {
    const TYPE: &'static str = "job.posted";
}

impl Example for JobPosted {
    fn example() -> Self {
        Self { job_id: example_id(21), client_id: example_id(22) }
    }
}

/// A candidate applied for a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSubmitted {
    /// The application.
    pub application_id: Uuid,
    /// The candidate's user id.
    pub candidate_id: Uuid,
    /// The job.
    pub job_id: Uuid,
}

impl Event for ApplicationSubmitted {
    const TYPE: &'static str = "application.submitted";
}

impl Example for ApplicationSubmitted {
    fn example() -> Self {
        Self { application_id: example_id(23), candidate_id: example_id(11), job_id: example_id(21) }
    }
}

/// An interview has a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterviewScheduled {
    /// The interview.
    pub interview_id: Uuid,
    /// The candidate's user id.
    pub candidate_id: Uuid,
    /// When it takes place.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub datetime: OffsetDateTime,
}

impl Event for InterviewScheduled {
    const TYPE: &'static str = "interview.scheduled";
}

impl Example for InterviewScheduled {
    fn example() -> Self {
        Self {
            interview_id: example_id(24),
            candidate_id: example_id(11),
            datetime: datetime!(2025-11-24 14:30 UTC),
        }
    }
}

/// A candidate got a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidatePlaced {
    /// The candidate's user id.
    pub candidate_id: Uuid,
    /// The job.
    pub job_id: Uuid,
    /// The yearly salary, in whole currency units.
    pub salary: i64,
}

impl Event for CandidatePlaced {
    const TYPE: &'static str = "candidate.placed";
}

impl Example for CandidatePlaced {
    fn example() -> Self {
        Self { candidate_id: example_id(11), job_id: example_id(21), salary: 85_000 }
    }
}
