//! The catalogue is complete, and a stored payload is a format for ever.

use std::collections::BTreeSet;

use stentor_actors::events::{catalogue, examples};

/// The types of the architecture's own document, and ours.
const TYPES: [&str; 22] = [
    "achievement.earned",
    "application.submitted",
    "candidate.created",
    "candidate.placed",
    "conversation.ended",
    "course.graduated",
    "cross_pollination.opportunity",
    "email.queued",
    "employee.hired",
    "expense.approved",
    "goal.achieved",
    "interview.scheduled",
    "job.posted",
    "leave.approved",
    "notification.send",
    "quiz.passed",
    "slack.queued",
    "system.error",
    "timesheet.submitted",
    "topic.completed",
    "webhook.queued",
    "workflow.completed",
];

#[test]
fn the_catalogue_holds_every_type_and_an_example_of_each() {
    let catalogue = catalogue();
    let known: Vec<&str> = catalogue.iter().map(|info| info.event_type).collect();
    assert_eq!(known, TYPES);
    let shown: BTreeSet<&str> = examples().unwrap().iter().map(|example| example.event_type).collect();
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), TYPES);
}

#[test]
fn the_json_of_every_event_stays_as_it_is() {
    for example in examples().unwrap() {
        insta::assert_json_snapshot!(example.event_type, example.payload);
    }
}
