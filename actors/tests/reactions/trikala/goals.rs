//! Workflows that members of a pod complete advance the pod's goal.

use stentor::args;
use stentor_actors::events::WorkflowCompleted;
use stentor_actors::school::School;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{graduation, trikala};
use crate::placing::job;
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    a_completed_workflow_advances_the_goal_of_the_users_pod_once,
    a_goal_is_achieved_once_however_many_workflows_are_completed_at_once,
    what_counted_for_one_goal_never_counts_for_the_next,
    whoever_has_no_pod_or_no_open_goal_advances_nothing,
    a_workflow_that_does_not_exist_is_parked,
];

with_crashes![
    a_completed_workflow_advances_the_goal_of_the_users_pod_once,
    a_goal_is_achieved_once_however_many_workflows_are_completed_at_once,
];

/// Returns the student's pod.
async fn pod_of(world: &World, student: usize) -> Uuid {
    let pod = "SELECT pod_id FROM pod_members WHERE user_id = $1";
    world.rows(pod, args![world.student(student)]).await[0].get("pod_id").unwrap()
}

async fn open_goal(world: &World, pod: Uuid, target: i64) -> Uuid {
    let id = Uuid::now_v7();
    world
        .write("INSERT INTO pod_goals (id, pod_id, target) VALUES ($1, $2, $3)", args![id, pod, target])
        .await;
    id
}

/// Completes a workflow of a student, as the application around the modules would.
async fn workflow(world: &World, student: usize) -> WorkflowCompleted {
    const APPLICATION: &str =
        "INSERT INTO applications (id, candidate_id, job_id, status, submitted_at, closed_at)
        VALUES ($1, $2, $3, 'placed', $4, $4)";
    const WORKFLOW: &str =
        "INSERT INTO workflow_instances (id, application_id, object_id, status, started_at, completed_at)
        VALUES ($1, $2, $3, 'completed', $4, $4)";
    let [application, workflow_id] = [(); 2].map(|()| Uuid::now_v7());
    let (user_id, at) = (world.student(student), datetime!(2025-01-01 0:00 UTC));
    let job = job(world, "Engineer").await.id;
    world.write(APPLICATION, args![application, user_id, job, at]).await;
    world.write(WORKFLOW, args![workflow_id, application, user_id, at]).await;
    WorkflowCompleted { workflow_id, user_id }
}

/// Returns a goal's progress, and when it was achieved; as many workflows as that have counted.
async fn progress(world: &World, goal: Uuid) -> (i64, Option<OffsetDateTime>) {
    const GOAL: &str = "SELECT progress, achieved_at FROM pod_goals WHERE id = $1";
    const COUNTED: &str = "SELECT COUNT(*) AS n FROM goal_advances WHERE goal_id = $1";
    let row = &world.rows(GOAL, args![goal]).await[0];
    let progress = row.get("progress").unwrap();
    assert_eq!(world.number(COUNTED, args![goal]).await, progress);
    (progress, row.get("achieved_at").unwrap())
}

async fn a_completed_workflow_advances_the_goal_of_the_users_pod_once(database: Database) {
    let world = World::start_with(database, School::new(2, 1).pods(2, 1), trikala).await;
    world.all_happen([graduation(&world, 0), graduation(&world, 1)]).await;
    let own = open_goal(&world, pod_of(&world, 0).await, 2).await;
    let others = open_goal(&world, pod_of(&world, 1).await, 2).await;
    let workflow = workflow(&world, 0).await;
    let event = world.happens(workflow.clone()).await;
    assert_eq!(progress(&world, own).await, (1, None));
    assert_eq!(progress(&world, others).await, (0, None));
    world.nothing_changes_again(event, "trikala").await;
    // Nor does an event of its own count the same workflow again.
    world.happens(workflow).await;
    assert_eq!(progress(&world, own).await, (1, None));
    assert_eq!(world.events("goal.achieved").await.len(), 0);
    world.stop().await;
}

async fn a_goal_is_achieved_once_however_many_workflows_are_completed_at_once(database: Database) {
    let world = World::start_with(database, School::new(5, 1).pods(1, 5), trikala).await;
    world.all_happen((0..5).map(|student| graduation(&world, student)).collect::<Vec<_>>()).await;
    let pod = pod_of(&world, 0).await;
    let goal = open_goal(&world, pod, 12).await;
    let mut workflows = Vec::new();
    for number in 0..30 {
        workflows.push(workflow(&world, number % 5).await);
    }
    let events = world.all_happen(workflows).await;
    let (reached, achieved_at) = progress(&world, goal).await;
    assert_eq!((reached, achieved_at.is_some()), (12, true));
    let achieved = world.events("goal.achieved").await;
    assert_eq!(achieved.len(), 1);
    let payload = &achieved[0].payload;
    assert_eq!(
        (payload["goalId"].as_str(), payload["podId"].as_str()),
        (Some(&*goal.to_string()), Some(&*pod.to_string()))
    );
    assert_eq!(payload["value"].as_f64(), Some(12.0));
    for event in events {
        world.nothing_changes_again(event, "trikala").await;
    }
    world.stop().await;
}

async fn what_counted_for_one_goal_never_counts_for_the_next(database: Database) {
    let world = World::start_with(database, School::new(1, 1).pods(1, 1), trikala).await;
    world.happens(graduation(&world, 0)).await;
    let pod = pod_of(&world, 0).await;
    let first = open_goal(&world, pod, 1).await;
    let counted = world.happens(workflow(&world, 0).await).await;
    // While no goal is open.
    let between = world.happens(workflow(&world, 0).await).await;
    let second = open_goal(&world, pod, 5).await;
    // After the event, even on a clock of milliseconds.
    let later = "UPDATE pod_goals SET opened_at = $1 WHERE id = $2";
    world.write(later, args![datetime!(2100-01-01 0:00 UTC), second]).await;
    for event in [counted, between] {
        world.happens_again(event, "trikala").await;
    }
    assert_eq!(progress(&world, second).await, (0, None));
    world.write(later, args![datetime!(2025-01-01 0:00 UTC), second]).await;
    world.happens_again(counted, "trikala").await;
    assert_eq!(progress(&world, second).await, (0, None));
    world.happens(workflow(&world, 0).await).await;
    assert_eq!(progress(&world, second).await, (1, None));
    assert_eq!(progress(&world, first).await.0, 1);
    assert_eq!(world.events("goal.achieved").await.len(), 1);
    world.stop().await;
}

async fn whoever_has_no_pod_or_no_open_goal_advances_nothing(database: Database) {
    let world = World::start_with(database, School::new(2, 1).pods(1, 1), trikala).await;
    world.happens(graduation(&world, 0)).await;
    let in_pod = world.happens(workflow(&world, 0).await).await;
    let without = world.happens(workflow(&world, 1).await).await;
    for event in [in_pod, without] {
        let delivery = world.delivery(event, "trikala").await;
        assert_eq!(delivery.state, stentor::delivery::DeliveryState::Acked);
    }
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM goal_advances", args![]).await, 0);
    world.stop().await;
}

async fn a_workflow_that_does_not_exist_is_parked(database: Database) {
    let world = World::start_with(database, School::new(1, 1).pods(1, 1), trikala).await;
    world.happens(graduation(&world, 0)).await;
    let goal = open_goal(&world, pod_of(&world, 0).await, 1).await;
    let nothing = Uuid::now_v7();
    let event = WorkflowCompleted { workflow_id: nothing, user_id: world.student(0) };
    let said = world.is_parked(event, "trikala").await;
    assert!(said.contains(&format!("workflow {nothing} does not exist; add what is missing")), "{said}");
    assert_eq!(progress(&world, goal).await, (0, None));
    world.stop().await;
}
