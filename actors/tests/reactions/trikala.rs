//! Trikala finds graduates a place in a pod, and never one too many.
//!
//! What it does about placements is with the rest of their story, in `placements`.

use stentor::{BusBuilder, ModuleOptions, args};
use stentor_actors::events::CourseGraduated;
use stentor_actors::school::{ADMINS, School};
use stentor_actors::trikala::Trikala;

use crate::world::{Database, World, on_both_databases, with_crashes};

mod goals;
mod line;

on_both_databases![
    a_graduate_joins_a_pod_and_its_senior_is_told,
    a_graduation_delivered_again_takes_no_second_place,
    a_second_course_takes_no_second_place,
    pods_fill_evenly_and_never_over_their_capacity_however_many_come_at_once,
    without_room_a_graduate_waits_and_every_admin_is_told,
    somebody_who_waits_and_is_delivered_again_still_waits_once,
];

with_crashes![
    a_graduate_joins_a_pod_and_its_senior_is_told,
    pods_fill_evenly_and_never_over_their_capacity_however_many_come_at_once,
    without_room_a_graduate_waits_and_every_admin_is_told,
];

/// Trikala alone, with more workers than it asks for, so that they meet on the pods.
fn trikala(builder: BusBuilder) -> BusBuilder {
    builder
        .catalogue(&stentor_actors::catalogue())
        .migrations(&stentor_actors::MIGRATIONS)
        .module_with(ModuleOptions::default().workers(6), || Trikala)
}

fn graduation(world: &World, student: usize) -> CourseGraduated {
    CourseGraduated {
        user_id: world.student(student),
        course_id: world.school.course_id(0),
        final_score: 88.0,
    }
}

async fn a_graduate_joins_a_pod_and_its_senior_is_told(database: Database) {
    const MEMBER: &str = "SELECT m.role, p.full_name, pods.name, pods.members FROM pod_members m
        JOIN pods ON pods.id = m.pod_id JOIN user_profiles p ON p.id = m.user_id WHERE m.user_id = $1";
    const LETTER: &str = "SELECT n.title, n.message, n.type FROM notifications n
        JOIN pods ON pods.senior_id = n.user_id JOIN pod_members m ON m.pod_id = pods.id WHERE m.user_id = $1";
    let world = World::start(database, School::new(1, 1)).await;
    world.happens(graduation(&world, 0)).await;
    let member = &world.rows(MEMBER, args![world.student(0)]).await[0];
    assert_eq!(member.get::<String>("role").unwrap(), "junior");
    assert_eq!(member.get::<i64>("members").unwrap(), 1);
    let (name, pod): (String, String) = (member.get("full_name").unwrap(), member.get("name").unwrap());
    let letters = world.rows(LETTER, args![world.student(0)]).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].get::<String>("message").unwrap(), format!("{name} joined your pod {pod}"));
    assert_eq!(letters[0].get::<String>("type").unwrap(), "info");
    world.stop().await;
}

async fn a_graduation_delivered_again_takes_no_second_place(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(graduation(&world, 0)).await;
    world.nothing_changes_again(event, "trikala").await;
    world.stop().await;
}

async fn a_second_course_takes_no_second_place(database: Database) {
    let world = World::start(database, School::new(1, 1).pods(2, 3)).await;
    let second = CourseGraduated { course_id: world.school.course_id(1), ..graduation(&world, 0) };
    world.all_happen([graduation(&world, 0), second]).await;
    assert_eq!(world.number("SELECT CAST(SUM(members) AS BIGINT) AS n FROM pods", args![]).await, 1);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM pod_members", args![]).await, 1);
    assert_eq!(world.events("notification.send").await.len(), 1);
    world.stop().await;
}

async fn pods_fill_evenly_and_never_over_their_capacity_however_many_come_at_once(database: Database) {
    const SPREAD: &str = "SELECT COUNT(*) AS n FROM pods p
        WHERE members <> $1 OR members <> (SELECT COUNT(*) FROM pod_members m WHERE m.pod_id = p.id)";
    let school = School::new(40, 1).pods(4, 8);
    let world = World::start_with(database, school, trikala).await;
    let half: Vec<CourseGraduated> = (0..20).map(|student| graduation(&world, student)).collect();
    world.all_happen(half).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM pod_members", args![]).await, 20);
    let rest: Vec<CourseGraduated> = (20..40).map(|student| graduation(&world, student)).collect();
    world.all_happen(rest).await;
    assert_eq!(world.number(SPREAD, args![8]).await, 0, "every pod is full and none more than full");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM pod_waitlist", args![]).await, 8);
    world.stop().await;
}

async fn without_room_a_graduate_waits_and_every_admin_is_told(database: Database) {
    const LETTERS: &str = "SELECT COUNT(*) AS n FROM notifications n
        JOIN user_roles u ON u.user_id = n.user_id JOIN roles r ON r.id = u.role_id
        WHERE r.name = 'admin' AND n.type = 'warning' AND n.title = 'No Pod Has Room'";
    let world = World::start(database, School::new(2, 1).pods(1, 1)).await;
    world.happens(graduation(&world, 0)).await;
    assert_eq!(world.number(LETTERS, args![]).await, 0);
    world.happens(graduation(&world, 1)).await;
    let waiting = world.rows("SELECT user_id FROM pod_waitlist", args![]).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].get::<uuid::Uuid>("user_id").unwrap(), world.student(1));
    assert_eq!(world.number(LETTERS, args![]).await, i64::from(ADMINS));
    world.stop().await;
}

async fn somebody_who_waits_and_is_delivered_again_still_waits_once(database: Database) {
    let world = World::start(database, School::new(1, 1).pods(1, 0)).await;
    let event = world.happens(graduation(&world, 0)).await;
    world.nothing_changes_again(event, "trikala").await;
    world.stop().await;
}
