//! An interview that is scheduled has a date, and a later event moves it.

use stentor::args;
use stentor_actors::ats::schedule_interview;
use stentor_actors::events::InterviewScheduled;
use stentor_actors::school::School;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::ats;
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    an_interview_is_recorded_once,
    a_later_event_moves_an_interview_and_an_older_one_never_does,
    of_events_of_the_same_moment_the_last_one_counts,
    an_interview_with_nobody_or_under_the_id_of_another_is_parked,
];

with_crashes![an_interview_is_recorded_once,];

const MONDAY: OffsetDateTime = datetime!(2030-06-03 08:00 UTC);
const TUESDAY: OffsetDateTime = datetime!(2030-06-04 08:00 UTC);

fn on(world: &World, interview_id: Uuid, datetime: OffsetDateTime) -> InterviewScheduled {
    InterviewScheduled { interview_id, candidate_id: world.student(0), datetime }
}

/// Returns the date of the only interview.
async fn date(world: &World) -> OffsetDateTime {
    let rows = world.rows("SELECT candidate_id, scheduled_at FROM interviews", args![]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<Uuid>("candidate_id").unwrap(), world.student(0));
    rows[0].get("scheduled_at").unwrap()
}

async fn an_interview_is_recorded_once(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let id = Uuid::now_v7();
    let receipt = schedule_interview(&world.bus, id, world.student(0), MONDAY).await.unwrap();
    world.settled(id).await;
    assert_eq!(date(&world).await, MONDAY);
    world.nothing_changes_again(receipt.id(), "ats").await;
    world.stop().await;
}

async fn a_later_event_moves_an_interview_and_an_older_one_never_does(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let id = Uuid::now_v7();
    let first = world.happens(on(&world, id, TUESDAY)).await;
    // To an earlier date: what counts is which event is newer.
    world.happens(on(&world, id, MONDAY)).await;
    assert_eq!(date(&world).await, MONDAY);
    world.happens_again(first, "ats").await;
    assert_eq!(date(&world).await, MONDAY);
    world.stop().await;
}

async fn of_events_of_the_same_moment_the_last_one_counts(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let id = Uuid::now_v7();
    let moves = (0..20).map(|hour| on(&world, id, MONDAY + time::Duration::hours(hour)));
    world.all_happen(moves.collect::<Vec<_>>()).await;
    assert_eq!(date(&world).await, MONDAY + time::Duration::hours(19));
    world.stop().await;
}

async fn an_interview_with_nobody_or_under_the_id_of_another_is_parked(database: Database) {
    let world = World::start_with(database, School::new(2, 1), ats).await;
    let first = on(&world, Uuid::now_v7(), MONDAY);
    let nobody = Uuid::now_v7();
    let said = world.is_parked(InterviewScheduled { candidate_id: nobody, ..first.clone() }, "ats").await;
    assert!(said.contains(&format!("candidate {nobody} does not exist")), "{said}");
    world.happens(first.clone()).await;
    let other = InterviewScheduled { candidate_id: world.student(1), datetime: TUESDAY, ..first };
    let said = world.is_parked(other, "ats").await;
    assert!(said.contains("schedule this one with an id of its own"), "{said}");
    assert_eq!(date(&world).await, MONDAY);
    world.stop().await;
}
