//! Whoever finds no place waits in line, and moves up when a place is freed.

use stentor::args;
use stentor_actors::school::School;
use stentor_actors::trikala::{LeavePodError, SetCapacityError, leave_pod, set_capacity};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{graduation, trikala};
use crate::world::{Database, World, on_both_databases};

on_both_databases![
    two_hundred_at_once_fill_a_hundred_places_and_the_rest_move_up_in_order,
    leavers_and_newcomers_at_once_leave_no_place_empty_and_let_nobody_overtake,
    whoever_leaves_gives_the_place_to_the_first_in_line_and_the_senior_is_told,
    whoever_leaves_does_not_come_back_by_an_old_graduation,
    a_place_that_nobody_waits_for_goes_to_the_next_graduate,
    more_room_lets_the_line_move_up_and_less_than_is_taken_is_refused,
    room_made_by_hand_goes_to_the_line_before_a_newcomer,
    whoever_was_given_a_place_by_hand_waits_no_more,
    of_those_who_asked_at_once_the_smaller_id_comes_first,
];

const MISCOUNTED: &str = "SELECT COUNT(*) AS n FROM pods p
    WHERE members <> capacity OR members <> (SELECT COUNT(*) FROM pod_members m WHERE m.pod_id = p.id)";

const NOBODY: [Uuid; 0] = [];

/// Returns who waits, first to last.
async fn line(world: &World) -> Vec<Uuid> {
    users(world, "SELECT user_id FROM pod_waitlist ORDER BY requested_at, user_id").await
}

async fn members(world: &World) -> Vec<Uuid> {
    users(world, "SELECT user_id FROM pod_members ORDER BY user_id").await
}

async fn users(world: &World, sql: &str) -> Vec<Uuid> {
    world.rows(sql, args![]).await.iter().map(|row| row.get("user_id").unwrap()).collect()
}

async fn graduate(world: &World, students: impl IntoIterator<Item = usize>) {
    let events: Vec<_> = students.into_iter().map(|student| graduation(world, student)).collect();
    world.all_happen(events).await;
}

/// Graduates students one after the other, so that they stand in line in this order.
async fn graduate_in_turn(world: &World, students: impl IntoIterator<Item = usize>) {
    const ASK: &str = "UPDATE pod_waitlist SET requested_at = $2 WHERE user_id = $1";
    for student in students {
        world.happens(graduation(world, student)).await;
    }
    // On a clock that may have shown the same time for several.
    for (second, student) in (0..).zip(world.school.student_ids()) {
        let asked = time::macros::datetime!(2025-01-01 0:00 UTC) + time::Duration::seconds(second);
        world.write(ASK, args![student, asked]).await;
    }
}

/// Returns how many letters about a new member there are.
async fn welcomes(world: &World) -> usize {
    let letters = world.events("notification.send").await;
    letters.iter().filter(|letter| letter.payload["title"] == "New Pod Member").count()
}

/// Lets users leave their pods, all at once, and returns who moved up.
async fn leave_at_once(world: &World, leavers: &[Uuid]) -> Vec<Uuid> {
    let mut leaving = JoinSet::new();
    for user in leavers.iter().copied() {
        let bus = world.bus.clone();
        leaving.spawn(async move { leave_pod(&bus, user).await.unwrap() });
    }
    leaving.join_all().await.into_iter().flatten().collect()
}

fn sorted(mut users: Vec<Uuid>) -> Vec<Uuid> {
    users.sort();
    users
}

async fn two_hundred_at_once_fill_a_hundred_places_and_the_rest_move_up_in_order(database: Database) {
    let world = World::start_with(database, School::new(200, 1).pods(10, 10), trikala).await;
    graduate(&world, 0..200).await;
    assert_eq!(members(&world).await.len(), 100);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0, "every pod is full and none more than full");
    let waiting = line(&world).await;
    assert_eq!(waiting.len(), 100);
    // One place after the other.
    for (leaver, first) in members(&world).await.into_iter().zip(&waiting).take(10) {
        assert_eq!(leave_pod(&world.bus, leaver).await.unwrap(), [*first]);
    }
    assert_eq!(line(&world).await, waiting[10..]);
    // Many places at once.
    let leavers: Vec<Uuid> = members(&world).await.into_iter().take(40).collect();
    let moved_up = leave_at_once(&world, &leavers).await;
    assert_eq!(sorted(moved_up), sorted(waiting[10..50].to_vec()));
    assert_eq!(line(&world).await, waiting[50..]);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    assert_eq!(welcomes(&world).await, 150);
    world.stop().await;
}

async fn leavers_and_newcomers_at_once_leave_no_place_empty_and_let_nobody_overtake(database: Database) {
    let world = World::start_with(database, School::new(90, 1).pods(4, 10), trikala).await;
    // Nobody waits yet, and some leave while others come: the line begins and ends all the time.
    graduate(&world, 0..40).await;
    let leavers = members(&world).await;
    let newcomers = graduate(&world, 40..60);
    let (moved_up, ()) = tokio::join!(leave_at_once(&world, &leavers[..20]), newcomers);
    assert_eq!(members(&world).await.len(), 40, "{} moved up", moved_up.len());
    assert_eq!(line(&world).await, NOBODY);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    // More wait than leave: of those who come meanwhile nobody gets a place.
    graduate(&world, 60..80).await;
    let waiting = line(&world).await;
    let leavers = members(&world).await;
    let newcomers = graduate(&world, 80..90);
    let (moved_up, ()) = tokio::join!(leave_at_once(&world, &leavers[..15]), newcomers);
    assert_eq!(sorted(moved_up), sorted(waiting[..15].to_vec()));
    let rest = line(&world).await;
    assert_eq!((&rest[..5], rest.len()), (&waiting[15..], 15));
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    world.stop().await;
}

async fn whoever_leaves_gives_the_place_to_the_first_in_line_and_the_senior_is_told(database: Database) {
    const SENIOR: &str = "SELECT p.full_name, pods.name, pods.senior_id FROM pod_members m
        JOIN pods ON pods.id = m.pod_id JOIN user_profiles p ON p.id = m.user_id WHERE m.user_id = $1";
    let world = World::start_with(database, School::new(3, 1).pods(1, 1), trikala).await;
    graduate_in_turn(&world, [0, 1, 2]).await;
    assert_eq!(leave_pod(&world.bus, world.student(0)).await.unwrap(), [world.student(1)]);
    assert_eq!(members(&world).await, [world.student(1)]);
    assert_eq!(line(&world).await, [world.student(2)]);
    let pod = &world.rows(SENIOR, args![world.student(1)]).await[0];
    let (name, pod_name): (String, String) = (pod.get("full_name").unwrap(), pod.get("name").unwrap());
    let letters = world.events("notification.send").await;
    let letter = &letters.last().unwrap().payload;
    assert_eq!(letter["userId"], pod.get::<Uuid>("senior_id").unwrap().to_string());
    assert_eq!(letter["message"], format!("{name} joined your pod {pod_name}"));
    // Whoever waits or is gone has no place to leave.
    for user in [world.student(0), world.student(2)] {
        let refused = leave_pod(&world.bus, user).await.unwrap_err();
        assert!(matches!(refused, LeavePodError::NoMember(id) if id == user), "{refused}");
    }
    world.stop().await;
}

async fn whoever_leaves_does_not_come_back_by_an_old_graduation(database: Database) {
    let world = World::start_with(database, School::new(1, 1).pods(1, 1), trikala).await;
    let event = world.happens(graduation(&world, 0)).await;
    assert_eq!(leave_pod(&world.bus, world.student(0)).await.unwrap(), NOBODY);
    world.nothing_changes_again(event, "trikala").await;
    assert_eq!(members(&world).await, NOBODY);
    world.stop().await;
}

async fn a_place_that_nobody_waits_for_goes_to_the_next_graduate(database: Database) {
    let world = World::start_with(database, School::new(2, 1).pods(1, 1), trikala).await;
    graduate(&world, [0]).await;
    leave_pod(&world.bus, world.student(0)).await.unwrap();
    graduate(&world, [1]).await;
    assert_eq!(members(&world).await, [world.student(1)]);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    world.stop().await;
}

async fn more_room_lets_the_line_move_up_and_less_than_is_taken_is_refused(database: Database) {
    // More than one round of the line.
    let world = World::start_with(database, School::new(130, 1).pods(1, 2), trikala).await;
    graduate(&world, 0..130).await;
    let waiting = line(&world).await;
    let pod = world.rows("SELECT id FROM pods", args![]).await[0].get("id").unwrap();
    assert_eq!(set_capacity(&world.bus, pod, 5).await.unwrap().len(), 3);
    assert_eq!(line(&world).await, waiting[3..]);
    let moved_up = set_capacity(&world.bus, pod, 125).await.unwrap();
    assert_eq!(sorted(moved_up), sorted(waiting[3..123].to_vec()));
    assert_eq!(line(&world).await, waiting[123..]);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    assert_eq!(welcomes(&world).await, 125);
    let refused = set_capacity(&world.bus, pod, 124).await.unwrap_err();
    assert!(matches!(refused, SetCapacityError::TooSmall { capacity: 124, members: 125 }), "{refused}");
    let nothing = Uuid::now_v7();
    let refused = set_capacity(&world.bus, nothing, 1).await.unwrap_err();
    assert!(matches!(refused, SetCapacityError::Pod(id) if id == nothing), "{refused}");
    // More than are left.
    assert_eq!(set_capacity(&world.bus, pod, 200).await.unwrap().len(), 5);
    assert_eq!(set_capacity(&world.bus, pod, 130).await.unwrap(), NOBODY);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    world.stop().await;
}

async fn room_made_by_hand_goes_to_the_line_before_a_newcomer(database: Database) {
    let world = World::start_with(database, School::new(4, 1).pods(1, 1), trikala).await;
    graduate_in_turn(&world, [0, 1, 2]).await;
    world.write("UPDATE pods SET capacity = 2", args![]).await;
    graduate(&world, [3]).await;
    assert_eq!(members(&world).await, sorted(vec![world.student(0), world.student(1)]));
    assert_eq!(line(&world).await, [world.student(2), world.student(3)]);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    world.stop().await;
}

async fn whoever_was_given_a_place_by_hand_waits_no_more(database: Database) {
    const JOIN: &str = "INSERT INTO pod_members (user_id, pod_id, role, joined_at)
        SELECT $1, id, 'junior', $2 FROM pods";
    let world = World::start_with(database, School::new(4, 1).pods(1, 1), trikala).await;
    graduate_in_turn(&world, [0, 1, 2]).await;
    world.write("UPDATE pods SET capacity = 3, members = 2", args![]).await;
    world.write(JOIN, args![world.student(1), time::macros::datetime!(2025-01-01 0:00 UTC)]).await;
    graduate(&world, [3]).await;
    assert_eq!(members(&world).await, sorted([0, 1, 2].map(|student| world.student(student)).to_vec()));
    assert_eq!(line(&world).await, [world.student(3)]);
    assert_eq!(world.number(MISCOUNTED, args![]).await, 0);
    world.stop().await;
}

async fn of_those_who_asked_at_once_the_smaller_id_comes_first(database: Database) {
    let world = World::start_with(database, School::new(5, 1).pods(1, 0), trikala).await;
    graduate(&world, 0..5).await;
    let at_once = time::macros::datetime!(2025-01-01 0:00 UTC);
    world.write("UPDATE pod_waitlist SET requested_at = $1", args![at_once]).await;
    let pod = world.rows("SELECT id FROM pods", args![]).await[0].get("id").unwrap();
    let mut expected: Vec<Uuid> = world.school.student_ids().collect();
    expected.sort();
    for (capacity, first) in (1..).zip(expected) {
        assert_eq!(set_capacity(&world.bus, pod, capacity).await.unwrap(), [first]);
    }
    world.stop().await;
}
