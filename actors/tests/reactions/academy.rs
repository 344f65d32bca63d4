//! The academy records what students achieve, and graduates them.

use stentor::delivery::DeliveryState;
use stentor::{Value, args};
use stentor_actors::academy::{CompleteTopicError, complete_topic};
use stentor_actors::events::{CourseGraduated, QuizPassed, TopicCompleted};
use stentor_actors::school::School;
use uuid::Uuid;

use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    a_topic_is_recorded_once_however_often_it_is_completed,
    the_last_required_topic_graduates_the_student_with_the_mean_score,
    an_optional_topic_neither_graduates_nor_counts,
    a_graduation_happens_once_however_often_its_cause_is_delivered,
    required_topics_completed_at_once_graduate_each_student_once,
    an_unknown_topic_is_parked_and_says_what_is_missing,
    a_score_out_of_range_is_refused_by_the_command_and_parked_by_the_module,
    a_passed_quiz_is_recorded_once,
];

with_crashes![
    a_topic_is_recorded_once_however_often_it_is_completed,
    the_last_required_topic_graduates_the_student_with_the_mean_score,
    a_passed_quiz_is_recorded_once,
];

const PROGRESS: &str =
    "SELECT topics_completed, final_score, graduated_at FROM course_progress WHERE user_id = $1";

fn topics(world: &World) -> Vec<Uuid> {
    world.school.required_topics(0).collect()
}

fn completion(world: &World, topic_id: Uuid, score: f64) -> TopicCompleted {
    TopicCompleted { user_id: world.student(0), topic_id, score }
}

/// Completes all required topics but the last, each with a score of 80.
async fn nearly_graduate(world: &World) -> Uuid {
    let topics = topics(world);
    let (last, others) = topics.split_last().unwrap();
    world.all_happen(others.iter().map(|topic| completion(world, *topic, 80.0))).await;
    *last
}

async fn a_topic_is_recorded_once_however_often_it_is_completed(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let topic = topics(&world)[0];
    let first = world.happens(completion(&world, topic, 70.0)).await;
    let tally = world.tally().await;
    world.happens_again(first, "academy").await;
    assert_eq!(world.tally().await, tally);
    // The same topic as an event of its own: the first score stands.
    world.happens(completion(&world, topic, 90.0)).await;
    let rows = world.rows("SELECT score FROM topic_completions", args![]).await;
    assert_eq!(rows.len(), 1);
    assert!((rows[0].get::<f64>("score").unwrap() - 70.0).abs() < f64::EPSILON);
    assert_eq!(
        world.rows(PROGRESS, args![world.student(0)]).await[0].get::<i64>("topics_completed").unwrap(),
        1
    );
    world.stop().await;
}

async fn the_last_required_topic_graduates_the_student_with_the_mean_score(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let last = nearly_graduate(&world).await;
    assert!(world.events("course.graduated").await.is_empty());
    let cause = world.happens(completion(&world, last, 95.0)).await;
    let graduations = world.events("course.graduated").await;
    assert_eq!(graduations.len(), 1);
    assert_eq!(graduations[0].causation_id, Some(cause));
    let graduated: CourseGraduated = serde_json::from_value(graduations[0].payload.clone()).unwrap();
    assert_eq!(graduated.user_id, world.student(0));
    assert_eq!(graduated.course_id, world.school.course_id(0));
    assert!((graduated.final_score - 83.0).abs() < 1e-9, "{}", graduated.final_score);
    let progress = &world.rows(PROGRESS, args![world.student(0)]).await[0];
    assert!((progress.get::<f64>("final_score").unwrap() - 83.0).abs() < 1e-9);
    let caused_at = world.bus.client().event(cause).await.unwrap().unwrap().event.created_at;
    let profile = world
        .rows(
            "SELECT student_graduation_date AS at FROM user_profiles WHERE id = $1",
            args![world.student(0)],
        )
        .await;
    assert_eq!(profile[0].get::<time::OffsetDateTime>("at").unwrap(), caused_at);
    world.stop().await;
}

async fn an_optional_topic_neither_graduates_nor_counts(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let last = nearly_graduate(&world).await;
    let required = topics(&world);
    let all =
        world.rows("SELECT id FROM topics WHERE course_id = $1", args![world.school.course_id(0)]).await;
    let mut all = all.iter().map(|row| row.get::<Uuid>("id").unwrap());
    let optional = all.find(|id| !required.contains(id)).expect("a course has an optional topic");
    // With it the student has completed as many topics as are required, but not the required ones.
    world.happens(completion(&world, optional, 100.0)).await;
    assert!(world.events("course.graduated").await.is_empty());
    world.happens(completion(&world, last, 80.0)).await;
    let graduations = world.events("course.graduated").await;
    assert_eq!(graduations[0].payload["finalScore"], 80.0);
    world.stop().await;
}

async fn a_graduation_happens_once_however_often_its_cause_is_delivered(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let last = nearly_graduate(&world).await;
    let cause = world.happens(completion(&world, last, 80.0)).await;
    let tally = world.tally().await;
    world.happens_again(cause, "academy").await;
    assert_eq!(world.tally().await, tally);
    world.stop().await;
}

async fn required_topics_completed_at_once_graduate_each_student_once(database: Database) {
    let world = World::start(database, School::new(30, 1)).await;
    // Student by student, so that the academy's workers meet on the same student.
    let completions: Vec<TopicCompleted> = world.school.completions().collect();
    world.all_happen(completions).await;
    let graduations = world.events("course.graduated").await;
    let mut students: Vec<&str> =
        graduations.iter().filter_map(|event| event.payload["userId"].as_str()).collect();
    students.sort_unstable();
    students.dedup();
    assert_eq!((graduations.len(), students.len()), (30, 30));
    world.stop().await;
}

async fn an_unknown_topic_is_parked_and_says_what_is_missing(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let topic = Uuid::now_v7();
    let event = world.happens(completion(&world, topic, 80.0)).await;
    let delivery = world.delivery(event, "academy").await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 1));
    let errors = delivery.errors.to_string();
    assert!(errors.contains(&format!("topic {topic} does not exist")), "{errors}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM topic_completions", args![]).await, 0);
    world.stop().await;
}

async fn a_score_out_of_range_is_refused_by_the_command_and_parked_by_the_module(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let topic = topics(&world)[0];
    for score in [-0.1, 100.1, f64::NAN] {
        let refused = complete_topic(&world.bus, world.student(0), topic, score).await;
        assert!(matches!(refused, Err(CompleteTopicError::Score(_))), "{refused:?}");
    }
    let event = world.happens(completion(&world, topic, 100.1)).await;
    assert_eq!(world.delivery(event, "academy").await.state, DeliveryState::Dead);
    let receipt = complete_topic(&world.bus, world.student(0), topic, 100.0).await.unwrap();
    receipt.processed().await.unwrap();
    let published = world.bus.client().event(receipt.id()).await.unwrap().unwrap();
    assert_eq!(published.event.created_by, Some(world.student(0)));
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM topic_completions", args![]).await, 1);
    world.stop().await;
}

async fn a_passed_quiz_is_recorded_once(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let quiz_id = Uuid::now_v7();
    let quiz: Vec<Value> = args![quiz_id, world.school.course_id(0), "Indexes"];
    world.write("INSERT INTO quizzes (id, course_id, title) VALUES ($1, $2, $3)", quiz).await;
    let passed = QuizPassed { user_id: world.student(0), quiz_id, score: 91.0 };
    let event = world.happens(passed).await;
    let tally = world.tally().await;
    world.happens_again(event, "academy").await;
    assert_eq!(world.tally().await, tally);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM quiz_results WHERE score = 91", args![]).await, 1);
    world.stop().await;
}
