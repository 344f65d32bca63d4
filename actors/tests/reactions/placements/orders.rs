//! Events of one candidate end in the same place in whatever order they are handled.

use stentor::args;
use stentor_actors::ats::record_placement;
use stentor_actors::events::ApplicationSubmitted;
use stentor_actors::school::School;
use time::macros::datetime;
use uuid::Uuid;

use super::{apply, are, both, graduation, outcome, placed, placement, status};
use crate::placing::job;
use crate::world::{Database, World, on_both_databases};

on_both_databases![
    an_application_handled_after_its_placement_is_placed_and_its_workflow_completed,
    an_application_handled_after_the_placement_that_closes_it_is_closed,
    applications_and_placements_at_once_complete_every_workflow_once,
    two_placements_of_one_candidate_complete_both_workflows,
    an_application_made_after_a_placement_stays_open,
    whoever_is_back_on_the_bench_stays_there_when_the_placement_is_delivered_again,
    whoever_graduates_after_a_placement_stays_placed,
];

fn application(world: &World, student: usize, job_id: Uuid) -> ApplicationSubmitted {
    ApplicationSubmitted { application_id: Uuid::now_v7(), candidate_id: world.student(student), job_id }
}

async fn an_application_handled_after_its_placement_is_placed_and_its_workflow_completed(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let engineer = job(&world, "Engineer").await.id;
    let placement = world.happens(placed(&world, 0, engineer)).await;
    let application = world.happens(application(&world, 0, engineer)).await;
    are(&outcome(&world, world.student(0), engineer).await, ("placed", "completed"));
    assert_eq!(world.events("workflow.completed").await.len(), 1);
    for (event, module) in [(placement, "ats"), (placement, "trikala"), (application, "ats")] {
        world.nothing_changes_again(event, module).await;
    }
    world.stop().await;
}

async fn an_application_handled_after_the_placement_that_closes_it_is_closed(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let (engineer, analyst) = (job(&world, "Engineer").await.id, job(&world, "Analyst").await.id);
    // As if the application had waited somewhere: it is older than the placement.
    world.happens(placed(&world, 0, engineer)).await;
    world.write("UPDATE bench_departures SET left_at = $1", args![datetime!(2100-01-01 0:00 UTC)]).await;
    world.happens(application(&world, 0, analyst)).await;
    are(&outcome(&world, world.student(0), analyst).await, ("closed", "cancelled"));
    assert_eq!(world.events("workflow.completed").await.len(), 0);
    world.stop().await;
}

async fn applications_and_placements_at_once_complete_every_workflow_once(database: Database) {
    const STUDENTS: u32 = 40;
    let world = World::start_with(database, School::new(STUDENTS, 1), both).await;
    let students = || 0..STUDENTS as usize;
    let engineer = job(&world, "Engineer").await.id;
    let applying =
        async { world.all_happen(students().map(|student| application(&world, student, engineer))).await };
    let placing =
        async { world.all_happen(students().map(|student| placed(&world, student, engineer))).await };
    tokio::join!(placing, applying);
    for student in world.school.student_ids() {
        are(&outcome(&world, student, engineer).await, ("placed", "completed"));
    }
    let completed = world.events("workflow.completed").await;
    assert_eq!(completed.len(), students().len());
    let failed: Vec<_> = completed.iter().filter(|event| event.error.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    world.stop().await;
}

async fn two_placements_of_one_candidate_complete_both_workflows(database: Database) {
    let world = World::start_with(database, School::new(10, 1), both).await;
    let (engineer, analyst) = (job(&world, "Engineer").await.id, job(&world, "Analyst").await.id);
    let jobs = [engineer, analyst];
    let pairs = || (0..10).flat_map(|student| jobs.map(|job| (student, job)));
    world.all_happen(pairs().map(|(student, job)| application(&world, student, job))).await;
    world.all_happen(pairs().map(|(student, job)| placed(&world, student, job))).await;
    for (student, job) in pairs() {
        are(&outcome(&world, world.student(student), job).await, ("placed", "completed"));
    }
    assert_eq!(world.events("workflow.completed").await.len(), 20);
    world.stop().await;
}

async fn an_application_made_after_a_placement_stays_open(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let (engineer, analyst) = (job(&world, "Engineer").await.id, job(&world, "Analyst").await.id);
    let placement = placement(&world, 0, engineer).await;
    world.settled(record_placement(&world.bus, &placement).await.unwrap()).await;
    let event = world.events("candidate.placed").await[0].id;
    // A moment later, even on a clock of milliseconds.
    world.write("UPDATE bench_departures SET left_at = $1", args![datetime!(2020-01-01 0:00 UTC)]).await;
    apply(&world, 0, analyst).await;
    are(&outcome(&world, placement.candidate, analyst).await, ("open", "active"));
    for module in ["ats", "trikala"] {
        world.happens_again(event, module).await;
    }
    are(&outcome(&world, placement.candidate, analyst).await, ("open", "active"));
    world.stop().await;
}

async fn whoever_is_back_on_the_bench_stays_there_when_the_placement_is_delivered_again(database: Database) {
    const BACK: &str = "UPDATE user_profiles SET candidate_status = 'bench' WHERE id = $1";
    let world = World::start_with(database, School::new(1, 1), both).await;
    world.happens(graduation(&world, 0)).await;
    let event = world.happens(placed(&world, 0, job(&world, "Engineer").await.id)).await;
    assert_eq!(status(&world, world.student(0)).await.as_deref(), Some("placed"));
    world.write(BACK, args![world.student(0)]).await;
    world.happens_again(event, "ats").await;
    assert_eq!(status(&world, world.student(0)).await.as_deref(), Some("bench"));
    world.stop().await;
}

async fn whoever_graduates_after_a_placement_stays_placed(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    world.happens(placed(&world, 0, job(&world, "Engineer").await.id)).await;
    world.happens(graduation(&world, 0)).await;
    assert_eq!(status(&world, world.student(0)).await.as_deref(), Some("placed"));
    assert_eq!(world.events("candidate.created").await.len(), 0);
    world.stop().await;
}
