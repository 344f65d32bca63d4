//! Applicant tracking makes candidates of graduates, and follows them to a job.

use stentor::{BusBuilder, ModuleOptions, args};
use stentor_actors::ats::Ats;
use stentor_actors::events::CourseGraduated;
use stentor_actors::school::School;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::{Database, World, on_both_databases, with_crashes};

mod applications;
mod interviews;
mod shortlists;

on_both_databases![
    a_graduate_becomes_a_candidate_on_the_bench,
    a_graduation_delivered_again_makes_no_second_candidate,
    a_second_course_makes_no_second_candidate,
    a_placed_candidate_stays_placed,
];

with_crashes![a_graduate_becomes_a_candidate_on_the_bench,];

/// Applicant tracking alone, with several workers.
fn ats(builder: BusBuilder) -> BusBuilder {
    builder
        .catalogue(&stentor_actors::catalogue())
        .migrations(&stentor_actors::MIGRATIONS)
        .module_with(ModuleOptions::default().workers(4), || Ats)
}

fn graduation(world: &World, course_of: u32) -> CourseGraduated {
    CourseGraduated {
        user_id: world.student(0),
        course_id: world.school.course_id(course_of),
        final_score: 91.0,
    }
}

/// Returns the status, since when, and the roles of the first student.
async fn candidate(world: &World) -> (Option<String>, Option<OffsetDateTime>, Vec<String>) {
    const PROFILE: &str =
        "SELECT candidate_status, candidate_available_from FROM user_profiles WHERE id = $1";
    const ROLES: &str = "SELECT r.name FROM user_roles u JOIN roles r ON r.id = u.role_id
        WHERE u.user_id = $1 ORDER BY r.name";
    let profile = &world.rows(PROFILE, args![world.student(0)]).await[0];
    let roles = world.rows(ROLES, args![world.student(0)]).await;
    (
        profile.get("candidate_status").unwrap(),
        profile.get("candidate_available_from").unwrap(),
        roles.iter().map(|row| row.get("name").unwrap()).collect(),
    )
}

async fn created_at(world: &World, event: Uuid) -> OffsetDateTime {
    world.bus.client().event(event).await.unwrap().unwrap().event.created_at
}

async fn a_graduate_becomes_a_candidate_on_the_bench(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    assert_eq!(candidate(&world).await, (None, None, vec!["student".to_owned()]));
    let event = world.happens(graduation(&world, 0)).await;
    let (status, since, roles) = candidate(&world).await;
    assert_eq!(status.as_deref(), Some("bench"));
    assert_eq!(since, Some(created_at(&world, event).await));
    assert_eq!(roles, ["candidate", "student"]);
    let created = world.events("candidate.created").await;
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].payload["userId"], world.student(0).to_string());
    assert_eq!(created[0].causation_id, Some(event));
    world.stop().await;
}

async fn a_graduation_delivered_again_makes_no_second_candidate(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(graduation(&world, 0)).await;
    world.nothing_changes_again(event, "ats").await;
    world.stop().await;
}

async fn a_second_course_makes_no_second_candidate(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    world.happens(graduation(&world, 0)).await;
    let before = candidate(&world).await;
    world.happens(graduation(&world, 1)).await;
    assert_eq!(candidate(&world).await, before);
    assert_eq!(world.events("candidate.created").await.len(), 1);
    world.stop().await;
}

async fn a_placed_candidate_stays_placed(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    world.happens(graduation(&world, 0)).await;
    world
        .write("UPDATE user_profiles SET candidate_status = 'placed' WHERE id = $1", args![world.student(0)])
        .await;
    world.happens(graduation(&world, 1)).await;
    assert_eq!(candidate(&world).await.0.as_deref(), Some("placed"));
    world.stop().await;
}
