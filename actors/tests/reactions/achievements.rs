//! Achievements pay points once for everything, and give a trophy for the tenth placement.

use stentor::delivery::DeliveryState;
use stentor::{BusBuilder, ModuleOptions, args};
use stentor_actors::achievements::{Achievements, GOAL_XP, QUIZ_XP, Settings, TOPIC_XP};
use stentor_actors::events::{CandidatePlaced, GoalAchieved, QuizPassed, TopicCompleted};
use stentor_actors::school::School;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::placing::{job, place, recruiter};
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    a_placement_pays_its_recruiter_one_percent_once,
    the_commission_is_what_the_configuration_says,
    a_placement_that_changed_hands_is_not_paid_again,
    a_placement_without_a_row_or_a_salary_is_parked_and_says_so,
    the_tenth_placement_earns_an_achievement_once,
    placements_at_once_earn_each_recruiter_one_achievement,
    a_topic_pays_its_student_once_however_often_it_is_completed,
    a_quiz_pays_its_student_once,
    what_nobody_offers_or_scores_impossibly_pays_nothing_and_is_parked,
    a_goal_pays_everyone_who_was_in_the_pod_once,
    a_goal_of_no_pod_is_parked_and_one_of_an_empty_pod_pays_nobody,
];

with_crashes![
    a_placement_pays_its_recruiter_one_percent_once,
    the_tenth_placement_earns_an_achievement_once,
    a_topic_pays_its_student_once_however_often_it_is_completed,
    a_quiz_pays_its_student_once,
    a_goal_pays_everyone_who_was_in_the_pod_once,
];

/// Achievements alone, with more workers than they ask for, so that they meet.
fn alone(settings: &Settings) -> impl FnOnce(BusBuilder) -> BusBuilder + use<> {
    let achievements = Achievements::new(settings);
    move |builder| {
        builder
            .catalogue(&stentor_actors::catalogue())
            .migrations(&stentor_actors::MIGRATIONS)
            .module_with(ModuleOptions::default().workers(6), move || achievements.clone())
    }
}

async fn start(database: Database, school: School) -> World {
    World::start_with(database, school, alone(&Settings::default())).await
}

/// Places a student in a job of its own.
async fn placed(world: &World, student: usize, recruiter: Uuid) -> CandidatePlaced {
    let job = job(world, "Data Engineer").await;
    place(world, world.student(student), &job, recruiter, OffsetDateTime::now_utc()).await
}

/// Returns amount, reason and source of everything that a user got points for.
async fn paid(world: &World, user: Uuid) -> Vec<(i64, String, String)> {
    const PAID: &str =
        "SELECT amount, reason, source FROM xp_transactions WHERE user_id = $1 ORDER BY source";
    let rows = world.rows(PAID, args![user]).await;
    let read = |row: &stentor::Row| {
        (row.get("amount").unwrap(), row.get("reason").unwrap(), row.get("source").unwrap())
    };
    rows.iter().map(read).collect()
}

async fn a_placement_pays_its_recruiter_one_percent_once(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let recruiter = recruiter(&world, 0).await;
    let placed = placed(&world, 0, recruiter).await;
    let event = world.happens(placed.clone()).await;
    let name =
        world.rows("SELECT full_name FROM user_profiles WHERE id = $1", args![placed.candidate_id]).await;
    let name: String = name[0].get("full_name").unwrap();
    let bonus = (
        850,
        format!("Placement bonus for {name}"),
        format!("candidate.placed/{}/{}", placed.candidate_id, placed.job_id),
    );
    assert_eq!(paid(&world, recruiter).await, std::slice::from_ref(&bonus));
    world.nothing_changes_again(event, "achievements").await;
    // The same placement as an event of its own.
    world.happens(placed).await;
    assert_eq!(paid(&world, recruiter).await, [bonus]);
    world.stop().await;
}

async fn the_commission_is_what_the_configuration_says(database: Database) {
    let settings: Settings = serde_json::from_str(r#"{ "commission_percent": 2.5 }"#).unwrap();
    let world = World::start_with(database, School::new(1, 1), alone(&settings)).await;
    let recruiter = recruiter(&world, 1).await;
    world.happens(placed(&world, 0, recruiter).await).await;
    assert_eq!(paid(&world, recruiter).await[0].0, 2_125);
    world.stop().await;
}

async fn a_placement_that_changed_hands_is_not_paid_again(database: Database) {
    let world = start(database, School::new(1, 1)).await;
    let (first, second) = (recruiter(&world, 0).await, recruiter(&world, 1).await);
    let event = world.happens(placed(&world, 0, first).await).await;
    world.write("UPDATE placements SET recruiter_id = $1", args![second]).await;
    world.nothing_changes_again(event, "achievements").await;
    assert_eq!((paid(&world, first).await.len(), paid(&world, second).await.len()), (1, 0));
    world.stop().await;
}

async fn a_placement_without_a_row_or_a_salary_is_parked_and_says_so(database: Database) {
    let world = start(database, School::new(1, 1)).await;
    let known = placed(&world, 0, recruiter(&world, 0).await).await;
    let elsewhere = CandidatePlaced { job_id: Uuid::now_v7(), ..known.clone() };
    let said = world.is_parked(elsewhere.clone(), "achievements").await;
    let missing =
        format!("no placement of candidate {} in job {} exists", elsewhere.candidate_id, elsewhere.job_id);
    assert!(said.contains(&missing), "{said}");
    let said = world.is_parked(CandidatePlaced { salary: 0, ..known }, "achievements").await;
    assert!(said.contains("the salary is 0, allowed are amounts from 1 on"), "{said}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM xp_transactions", args![]).await, 0);
    world.stop().await;
}

async fn the_tenth_placement_earns_an_achievement_once(database: Database) {
    let world = start(database, School::new(11, 1)).await;
    let recruiter = recruiter(&world, 0).await;
    for student in 0..9 {
        world.happens(placed(&world, student, recruiter).await).await;
    }
    assert!(world.events("achievement.earned").await.is_empty());
    let tenth = world.happens(placed(&world, 9, recruiter).await).await;
    world.nothing_changes_again(tenth, "achievements").await;
    world.happens(placed(&world, 10, recruiter).await).await;
    let earned = world.events("achievement.earned").await;
    assert_eq!(earned.len(), 1);
    assert_eq!(earned[0].causation_id, Some(tenth));
    assert_eq!(earned[0].payload["userId"], recruiter.to_string());
    assert_eq!(earned[0].payload["achievementId"], "10_placements");
    let rows = world.rows("SELECT user_id, achievement_id FROM achievements", args![]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<Uuid>("user_id").unwrap(), recruiter);
    world.stop().await;
}

async fn placements_at_once_earn_each_recruiter_one_achievement(database: Database) {
    const PLACEMENTS: &str = "SELECT placements AS n FROM recruiter_placements WHERE recruiter_id = $1";
    let world = start(database, School::new(35, 1)).await;
    let recruiters = [recruiter(&world, 0).await, recruiter(&world, 1).await, recruiter(&world, 2).await];
    let mut at_once = Vec::new();
    for student in 0..35 {
        // 13 each for two of them and 9 for the last.
        let of = if student < 26 { student % 2 } else { 2 };
        at_once.push(placed(&world, student, recruiters[of]).await);
    }
    world.all_happen(at_once).await;
    for (recruiter, placements) in recruiters.into_iter().zip([13, 13, 9]) {
        assert_eq!(world.number(PLACEMENTS, args![recruiter]).await, placements);
    }
    let earned = world.events("achievement.earned").await;
    let mut earners: Vec<String> =
        earned.iter().filter_map(|event| event.payload["userId"].as_str().map(str::to_owned)).collect();
    earners.sort_unstable();
    let mut expected = [recruiters[0].to_string(), recruiters[1].to_string()];
    expected.sort_unstable();
    assert_eq!(earners, expected);
    world.stop().await;
}

async fn a_topic_pays_its_student_once_however_often_it_is_completed(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let (student, topic_id) = (world.student(0), world.school.required_topics(0).next().unwrap());
    let title = world.rows("SELECT title FROM topics WHERE id = $1", args![topic_id]).await;
    let title: String = title[0].get("title").unwrap();
    let completed = TopicCompleted { user_id: student, topic_id, score: 70.0 };
    let event = world.happens(completed.clone()).await;
    world.nothing_changes_again(event, "achievements").await;
    // The same topic as events of its own, all at once.
    world.all_happen((0..20).map(|_| completed.clone())).await;
    let points = (TOPIC_XP, format!("Completed {title}"), format!("topic.completed/{topic_id}"));
    assert_eq!(paid(&world, student).await, [points]);
    world.stop().await;
}

async fn a_quiz_pays_its_student_once(database: Database) {
    const QUIZ: &str = "INSERT INTO quizzes (id, course_id, title) VALUES ($1, $2, 'Indexes')";
    let world = World::start(database, School::new(1, 1)).await;
    let quiz_id = Uuid::now_v7();
    world.write(QUIZ, args![quiz_id, world.school.course_id(0)]).await;
    let passed = QuizPassed { user_id: world.student(0), quiz_id, score: 91.0 };
    let event = world.happens(passed.clone()).await;
    world.nothing_changes_again(event, "achievements").await;
    world.happens(QuizPassed { score: 95.0, ..passed }).await;
    let points = (QUIZ_XP, "Passed Indexes".to_owned(), format!("quiz.passed/{quiz_id}"));
    assert_eq!(paid(&world, world.student(0)).await, [points]);
    world.stop().await;
}

async fn what_nobody_offers_or_scores_impossibly_pays_nothing_and_is_parked(database: Database) {
    let world = start(database, School::new(1, 1)).await;
    let known = TopicCompleted {
        user_id: world.student(0),
        topic_id: world.school.required_topics(0).next().unwrap(),
        score: 80.0,
    };
    let (nothing, nobody) = (Uuid::now_v7(), Uuid::now_v7());
    let said = world.is_parked(TopicCompleted { topic_id: nothing, ..known.clone() }, "achievements").await;
    assert!(said.contains(&format!("topic.completed/{nothing} does not exist")), "{said}");
    let said = world.is_parked(TopicCompleted { user_id: nobody, ..known.clone() }, "achievements").await;
    assert!(said.contains(&format!("student {nobody} or")), "{said}");
    let said = world.is_parked(TopicCompleted { score: 100.1, ..known }, "achievements").await;
    assert!(said.contains("score is 100.1, allowed are 0 to 100"), "{said}");
    let said = world
        .is_parked(QuizPassed { user_id: world.student(0), quiz_id: nothing, score: 80.0 }, "achievements")
        .await;
    assert!(said.contains(&format!("quiz.passed/{nothing} does not exist")), "{said}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM xp_transactions", args![]).await, 0);
    world.stop().await;
}

async fn join(world: &World, student: usize, pod_id: Uuid) {
    const JOIN: &str =
        "INSERT INTO pod_members (user_id, pod_id, role, joined_at) VALUES ($1, $2, 'junior', $3)";
    world.write(JOIN, args![world.student(student), pod_id, OffsetDateTime::now_utc()]).await;
}

async fn a_goal_pays_everyone_who_was_in_the_pod_once(database: Database) {
    let world = start(database, School::new(5, 1).pods(2, 6)).await;
    let pods = world.rows("SELECT id, name FROM pods", args![]).await;
    let (pod_id, pod): (Uuid, String) = (pods[0].get("id").unwrap(), pods[0].get("name").unwrap());
    for student in 0..3 {
        join(&world, student, pod_id).await;
    }
    join(&world, 3, pods[1].get("id").unwrap()).await;
    let goal_id = Uuid::now_v7();
    let event = world.happens(GoalAchieved { goal_id, pod_id, value: 10.0 }).await;
    let points = (GOAL_XP, format!("{pod} achieved a goal"), format!("goal.achieved/{goal_id}"));
    for student in 0..3 {
        assert_eq!(paid(&world, world.student(student)).await, std::slice::from_ref(&points));
    }
    // Neither another pod's member nor somebody who joins after that gets anything for it.
    join(&world, 4, pod_id).await;
    world.nothing_changes_again(event, "achievements").await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM xp_transactions", args![]).await, 3);
    world.stop().await;
}

async fn a_goal_of_no_pod_is_parked_and_one_of_an_empty_pod_pays_nobody(database: Database) {
    let world = start(database, School::new(1, 1)).await;
    let no_pod = GoalAchieved { goal_id: Uuid::now_v7(), pod_id: Uuid::now_v7(), value: 10.0 };
    let said = world.is_parked(no_pod.clone(), "achievements").await;
    assert!(said.contains(&format!("pod {} does not exist", no_pod.pod_id)), "{said}");
    let pod_id = world.rows("SELECT id FROM pods", args![]).await[0].get("id").unwrap();
    let event = world.happens(GoalAchieved { pod_id, ..no_pod }).await;
    assert_eq!(world.delivery(event, "achievements").await.state, DeliveryState::Acked);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM xp_transactions", args![]).await, 0);
    world.stop().await;
}
