//! An application that is submitted is recorded and followed.

use stentor::args;
use stentor_actors::ats::submit_application;
use stentor_actors::events::ApplicationSubmitted;
use stentor_actors::school::School;
use uuid::Uuid;

use super::{ats, created_at};
use crate::placing::job;
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    an_application_is_recorded_with_its_workflow,
    an_application_delivered_again_is_no_second_one,
    whoever_applies_twice_for_a_job_has_applied_once,
    an_application_that_names_nobody_or_no_job_is_parked,
    an_application_under_the_id_of_another_is_parked,
];

with_crashes![an_application_is_recorded_with_its_workflow,];

async fn submitted(world: &World, student: usize) -> ApplicationSubmitted {
    ApplicationSubmitted {
        application_id: Uuid::now_v7(),
        candidate_id: world.student(student),
        job_id: job(world, "Engineer").await.id,
    }
}

async fn an_application_is_recorded_with_its_workflow(database: Database) {
    const APPLICATION: &str = "SELECT a.candidate_id, a.job_id, a.status, a.submitted_at,
            w.object_id, w.status AS workflow, w.started_at
        FROM applications a JOIN workflow_instances w ON w.application_id = a.id WHERE a.id = $1";
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let job = job(&world, "Engineer").await.id;
    let id = submit_application(&world.bus, world.student(0), job).await.unwrap();
    world.settled(id).await;
    let row = &world.rows(APPLICATION, args![id]).await[0];
    for (column, expected) in
        [("candidate_id", world.student(0)), ("object_id", world.student(0)), ("job_id", job)]
    {
        assert_eq!(row.get::<Uuid>(column).unwrap(), expected, "{column}");
    }
    assert_eq!(row.get::<String>("status").unwrap(), "open");
    assert_eq!(row.get::<String>("workflow").unwrap(), "active");
    let event = &world.events("application.submitted").await[0];
    let at = created_at(&world, event.id).await;
    for column in ["submitted_at", "started_at"] {
        assert_eq!(row.get::<time::OffsetDateTime>(column).unwrap(), at, "{column}");
    }
    assert_eq!(event.created_by, Some(world.student(0)));
    world.stop().await;
}

async fn an_application_delivered_again_is_no_second_one(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let event = world.happens(submitted(&world, 0).await).await;
    world.nothing_changes_again(event, "ats").await;
    world.stop().await;
}

async fn whoever_applies_twice_for_a_job_has_applied_once(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let first = submitted(&world, 0).await;
    world.happens(first.clone()).await;
    world.happens(ApplicationSubmitted { application_id: Uuid::now_v7(), ..first.clone() }).await;
    let rows = world.rows("SELECT id FROM applications", args![]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<Uuid>("id").unwrap(), first.application_id);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM workflow_instances", args![]).await, 1);
    world.stop().await;
}

async fn an_application_that_names_nobody_or_no_job_is_parked(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let known = submitted(&world, 0).await;
    let nobody = Uuid::now_v7();
    let said = world.is_parked(ApplicationSubmitted { candidate_id: nobody, ..known.clone() }, "ats").await;
    assert!(said.contains(&format!("user {nobody} does not exist; add what is missing")), "{said}");
    let said = world.is_parked(ApplicationSubmitted { job_id: nobody, ..known }, "ats").await;
    assert!(said.contains(&format!("job {nobody} does not exist; add what is missing")), "{said}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM applications", args![]).await, 0);
    world.stop().await;
}

async fn an_application_under_the_id_of_another_is_parked(database: Database) {
    let world = World::start_with(database, School::new(2, 1), ats).await;
    let first = submitted(&world, 0).await;
    world.happens(first.clone()).await;
    let other = ApplicationSubmitted { candidate_id: world.student(1), ..first };
    let said = world.is_parked(other, "ats").await;
    assert!(said.contains("submit this one with an id of its own"), "{said}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM applications", args![]).await, 1);
    world.stop().await;
}
