//! Each occasion tells the right people, in the application, once.

use stentor::delivery::DeliveryState;
use stentor::{Event, args};
use stentor_actors::events::{
    AchievementEarned, EmployeeHired, ExpenseApproved, GoalAchieved, InterviewScheduled, LeaveApproved,
};
use stentor_actors::notifications::Settings;
use stentor_actors::school::{RECRUITERS, School};
use time::macros::{date, datetime};
use uuid::Uuid;

use super::channels::alone;
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    an_achievement_is_told_to_who_earned_it,
    a_goal_is_told_to_everyone_in_the_pod_and_nobody_else,
    an_interview_is_told_to_the_candidate_and_the_recruiters,
    an_interview_s_new_time_is_told_and_the_same_time_again_is_not,
    an_approved_leave_is_told_to_the_employee,
    an_approved_expense_is_told_to_the_employee,
    a_hire_is_told_to_the_new_employee,
    an_occasion_for_nobody_is_parked_and_says_so,
];

with_crashes![
    an_achievement_is_told_to_who_earned_it,
    a_goal_is_told_to_everyone_in_the_pod_and_nobody_else,
    an_interview_is_told_to_the_candidate_and_the_recruiters,
    an_approved_leave_is_told_to_the_employee,
    an_approved_expense_is_told_to_the_employee,
    a_hire_is_told_to_the_new_employee,
];

async fn start(database: Database) -> World {
    World::start_with(database, School::new(3, 1).pods(2, 2), alone(Settings::default())).await
}

/// Lets something happen, delivers it again, and returns who was told what, by message.
async fn told<E: Event>(world: &World, event: E) -> Vec<(Uuid, String)> {
    let event = world.happens(event).await;
    let tally = world.tally().await;
    world.happens_again(event, "notifications").await;
    assert_eq!(world.tally().await, tally);
    let rows =
        world.rows("SELECT user_id, message FROM notifications ORDER BY message, user_id", args![]).await;
    rows.iter().map(|row| (row.get("user_id").unwrap(), row.get("message").unwrap())).collect()
}

async fn an_achievement_is_told_to_who_earned_it(database: Database) {
    let world = start(database).await;
    let user_id = world.student(0);
    let told = told(&world, AchievementEarned { user_id, achievement_id: "10_placements".to_owned() }).await;
    assert_eq!(told, [(user_id, "You earned the achievement 10_placements".to_owned())]);
    world.stop().await;
}

async fn a_goal_is_told_to_everyone_in_the_pod_and_nobody_else(database: Database) {
    const JOIN: &str =
        "INSERT INTO pod_members (user_id, pod_id, role, joined_at) VALUES ($1, $2, 'junior', $3)";
    let world = start(database).await;
    let pods = world.rows("SELECT id, name, senior_id FROM pods ORDER BY name", args![]).await;
    let ids: Vec<Uuid> = pods.iter().map(|pod| pod.get("id").unwrap()).collect();
    for (student, pod) in [(0, ids[0]), (1, ids[0]), (2, ids[1])] {
        world.write(JOIN, args![world.student(student), pod, datetime!(2025-11-24 14:30 UTC)]).await;
    }
    let told = told(&world, GoalAchieved { goal_id: Uuid::now_v7(), pod_id: ids[0], value: 10.0 }).await;
    let message = format!("Your pod {} achieved its goal of 10", pods[0].get::<String>("name").unwrap());
    let mut users = vec![world.student(0), world.student(1), pods[0].get("senior_id").unwrap()];
    users.sort();
    assert_eq!(told, users.into_iter().map(|user| (user, message.clone())).collect::<Vec<_>>());
    world.stop().await;
}

fn interview(world: &World, interview_id: Uuid) -> InterviewScheduled {
    InterviewScheduled {
        interview_id,
        candidate_id: world.student(0),
        datetime: datetime!(2025-11-24 15:30 +01:00),
    }
}

async fn an_interview_is_told_to_the_candidate_and_the_recruiters(database: Database) {
    const NAME: &str = "SELECT full_name FROM user_profiles WHERE id = $1";
    let world = start(database).await;
    let told = told(&world, interview(&world, Uuid::now_v7())).await;
    let name: String = world.rows(NAME, args![world.student(0)]).await[0].get("full_name").unwrap();
    let own = "Your interview takes place on 24 November 2025 at 14:30 UTC";
    assert!(told.contains(&(world.student(0), own.to_owned())), "{told:?}");
    let others = format!("{name} has an interview on 24 November 2025 at 14:30 UTC");
    let recruiters = told.iter().filter(|(user, message)| *user != world.student(0) && *message == others);
    assert_eq!(recruiters.count(), RECRUITERS as usize);
    assert_eq!(told.len(), 1 + RECRUITERS as usize);
    world.stop().await;
}

async fn an_interview_s_new_time_is_told_and_the_same_time_again_is_not(database: Database) {
    let world = start(database).await;
    let (id, audience) = (Uuid::now_v7(), 1 + RECRUITERS as usize);
    assert_eq!(told(&world, interview(&world, id)).await.len(), audience);
    assert_eq!(told(&world, interview(&world, id)).await.len(), audience);
    let later = InterviewScheduled { datetime: datetime!(2025-11-25 9:00 UTC), ..interview(&world, id) };
    assert_eq!(told(&world, later).await.len(), 2 * audience);
    world.stop().await;
}

async fn an_approved_leave_is_told_to_the_employee(database: Database) {
    let world = start(database).await;
    let user_id = world.student(0);
    let told = told(&world, LeaveApproved { leave_id: Uuid::now_v7(), user_id, days: 2.5 }).await;
    assert_eq!(told, [(user_id, "Your leave of 2.5 days is approved".to_owned())]);
    world.stop().await;
}

async fn an_approved_expense_is_told_to_the_employee(database: Database) {
    let world = start(database).await;
    let user_id = world.student(0);
    let told = told(&world, ExpenseApproved { expense_id: Uuid::now_v7(), user_id, amount: 120 }).await;
    assert_eq!(told, [(user_id, "Your expense of 120 is approved and will be paid back".to_owned())]);
    world.stop().await;
}

async fn a_hire_is_told_to_the_new_employee(database: Database) {
    let world = start(database).await;
    let user_id = world.student(0);
    let hired = EmployeeHired { user_id, department_id: Uuid::now_v7(), start_date: date!(2025 - 12 - 01) };
    let told = told(&world, hired).await;
    assert_eq!(told, [(user_id, "You are hired; your first working day is 1 December 2025".to_owned())]);
    world.stop().await;
}

async fn an_occasion_for_nobody_is_parked_and_says_so(database: Database) {
    let world = start(database).await;
    let nobody = Uuid::now_v7();
    let days = LeaveApproved { leave_id: Uuid::now_v7(), user_id: nobody, days: 1.0 };
    let goal = GoalAchieved { goal_id: Uuid::now_v7(), pod_id: nobody, value: 1.0 };
    let interview = InterviewScheduled { candidate_id: nobody, ..interview(&world, Uuid::now_v7()) };
    for (event, missing) in [
        (world.happens(days).await, "user"),
        (world.happens(goal).await, "pod"),
        (world.happens(interview).await, "user"),
    ] {
        let delivery = world.delivery(event, "notifications").await;
        assert_eq!(delivery.state, DeliveryState::Dead);
        let expected = format!("{missing} {nobody} does not exist");
        assert!(delivery.errors.to_string().contains(&expected), "{}", delivery.errors);
    }
    world.stop().await;
}
