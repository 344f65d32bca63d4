//! Whatever is published and whatever people are called: it is handled, or parked at once with a reason.

use serde_json::{Value as Json, json};
use stentor::audit::{DeliveryFilter, DeliveryRecord};
use stentor::delivery::DeliveryState;
use stentor::{Metadata, RawEvent, args};
use stentor_actors::catalogue;
use stentor_actors::events::{ConversationEnded, examples};
use stentor_actors::school::{School, insert_conversation};
use uuid::Uuid;

use crate::placing::job;
use crate::world::{Database, World, on_both_databases};

on_both_databases![
    what_names_nobody_and_nothing_is_parked_at_once,
    figures_and_dates_beyond_all_bounds_are_parked_at_once,
    texts_of_any_length_and_script_are_handled,
    whatever_people_are_called_they_graduate,
    conversations_of_no_and_of_many_messages_are_read,
];

/// Publishes what JSON can say of an event, and waits until everything that it causes is done.
async fn publish(world: &World, events: impl IntoIterator<Item = (&str, Json)>) {
    let chain_id = Uuid::now_v7();
    let event = |(event_type, payload): (&str, Json)| RawEvent {
        event_type: event_type.to_owned(),
        payload,
        id: None,
        metadata: Metadata { correlation_id: Some(chain_id), ..Metadata::default() },
    };
    let events: Vec<RawEvent> = events.into_iter().map(event).collect();
    world.bus.client().publish(events, &catalogue()).await.unwrap();
    world.settled(chain_id).await;
}

/// Returns the deliveries that died, each of which must have done so at its first attempt and of no panic.
async fn parked(world: &World) -> Vec<DeliveryRecord> {
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
    let dead = world.bus.client().deliveries(&filter, 1_000).await.unwrap();
    for delivery in &dead {
        let in_vain = delivery.attempts > 1 || delivery.errors.to_string().contains("panicked");
        assert!(!in_vain, "{delivery:#?}");
    }
    dead
}

async fn what_names_nobody_and_nothing_is_parked_at_once(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    // No id in an example is anybody's.
    let events = examples().unwrap();
    publish(&world, events.into_iter().map(|example| (example.event_type, example.payload))).await;
    for delivery in parked(&world).await {
        let said = delivery.errors.to_string();
        let reason = ["not exist", "has no", "no placement", "does not"];
        assert!(reason.iter().any(|reason| said.contains(reason)), "{delivery:#?}");
    }
    world.stop().await;
}

/// Returns events about people and things that exist, with figures and dates that cannot be.
fn impossible(user: Uuid, course: Uuid, topic: Uuid, job: Uuid) -> Vec<(&'static str, Json)> {
    let mut events = Vec::new();
    for figure in [-1e308, -1.0, 100.5, 1e308] {
        events.extend([
            ("topic.completed", json!({ "userId": user, "topicId": topic, "score": figure })),
            ("course.graduated", json!({ "userId": user, "courseId": course, "finalScore": figure })),
        ]);
    }
    for figure in [-1e308, -1.0, 169.0, 1e300, 1e308] {
        let id = Uuid::now_v7();
        events.extend([
            ("timesheet.submitted", json!({ "timesheetId": id, "userId": user, "hours": figure })),
            ("leave.approved", json!({ "leaveId": id, "userId": user, "days": figure })),
            (
                "cross_pollination.opportunity",
                json!({ "userId": user, "leadType": "bench", "source": "chat", "confidence": figure }),
            ),
        ]);
    }
    for amount in [i64::MIN, -1, 0] {
        events.extend([
            ("expense.approved", json!({ "expenseId": Uuid::now_v7(), "userId": user, "amount": amount })),
            ("candidate.placed", json!({ "candidateId": user, "jobId": job, "salary": amount })),
        ]);
    }
    for datetime in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"] {
        let interview = json!({ "interviewId": Uuid::now_v7(), "candidateId": user, "datetime": datetime });
        events.push(("interview.scheduled", interview));
    }
    for date in ["0000-01-01", "9999-12-31"] {
        let hired = json!({ "userId": user, "departmentId": Uuid::now_v7(), "startDate": date });
        events.push(("employee.hired", hired));
    }
    events
}

async fn figures_and_dates_beyond_all_bounds_are_parked_at_once(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let topic = world.school.required_topics(0).next().unwrap();
    let job = job(&world, "Engineer").await.id;
    let events = impossible(world.student(0), world.school.course_id(0), topic, job);
    publish(&world, events).await;
    for delivery in parked(&world).await {
        let said = delivery.errors.to_string();
        let reason = ["allowed are", "beyond the calendar", "no balance of annual leave"];
        assert!(reason.iter().any(|reason| said.contains(reason)), "{delivery:#?}");
    }
    for table in ["topic_completions", "timesheets", "leaves", "reimbursements", "generated_documents"] {
        let rows = world.number(&format!("SELECT COUNT(*) AS n FROM {table}"), args![]).await;
        assert_eq!(rows, 0, "{table}");
    }
    world.stop().await;
}

async fn texts_of_any_length_and_script_are_handled(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let user = world.student(0);
    let texts =
        [String::new(), "🦀".repeat(64), "مرحبا \u{202e}שלום".to_owned(), "<b>&\u{1b}[2J\r\n".repeat(1_000)];
    let events = texts.iter().flat_map(|text| {
        [
            (
                "notification.send",
                json!({ "userId": user, "title": text, "message": text, "type": "warning" }),
            ),
            ("achievement.earned", json!({ "userId": user, "achievementId": text })),
            (
                "cross_pollination.opportunity",
                json!({ "userId": user, "leadType": text, "source": text, "confidence": 0.7 }),
            ),
            (
                "system.error",
                json!({ "source": text, "error": text, "originalEvent": { "id": user, "type": text } }),
            ),
        ]
    });
    publish(&world, events).await;
    for delivery in parked(&world).await {
        let said = delivery.errors.to_string();
        assert!(said.contains("characters, allowed are 1 to 64"), "{delivery:#?}");
    }
    world.stop().await;
}

async fn whatever_people_are_called_they_graduate(database: Database) {
    let on_sqlite = database.url.starts_with("sqlite");
    let mut names = vec![
        "🧑‍🚀🦀".to_owned(),
        "مريم \u{202e}שלום".to_owned(),
        "'; DROP TABLE pods; --".to_owned(),
        "é".repeat(5_000),
        // More than an event may hold.
        "龍".repeat(200_000),
    ];
    if on_sqlite {
        // PostgreSQL keeps no NUL.
        names.push("Zo\0ë".to_owned());
    }
    // Half of them find a place, and the admins are told of the others.
    let world = World::start(database, School::new(u32::try_from(names.len()).unwrap(), 1).pods(1, 3)).await;
    for (student, name) in names.iter().enumerate() {
        const RENAME: &str = "UPDATE user_profiles SET full_name = $2 WHERE id = $1";
        world.write(RENAME, args![world.student(student), name]).await;
    }
    let graduations = (0..).zip(world.school.student_ids()).map(|(number, user)| {
        let course = world.school.course_id(number);
        ("course.graduated", json!({ "userId": user, "courseId": course, "finalScore": 80.0 }))
    });
    publish(&world, graduations.collect::<Vec<_>>()).await;
    let leads = world.school.student_ids().map(|user| {
        let lead = json!({ "userId": user, "leadType": "bench", "source": "chat", "confidence": 0.7 });
        ("cross_pollination.opportunity", lead)
    });
    publish(&world, leads.collect::<Vec<_>>()).await;
    assert_eq!(parked(&world).await.len(), 0);
    world.stop().await;
}

async fn conversations_of_no_and_of_many_messages_are_read(database: Database) {
    const READ: &str = "SELECT COUNT(*) AS n FROM conversations WHERE analysed_at IS NOT NULL";
    let world = World::start(database, School::new(1, 1)).await;
    let mut many = vec![("user", "Nice weather today."); 9_999];
    many.push(("user", "We are hiring two backend engineers."));
    let long = "Nice weather. ".repeat(80_000);
    let conversations: [&[(&str, &str)]; 4] = [&[], &[("assistant", "Hello?")], &[("user", &long)], &many];
    for messages in conversations {
        let mut tx = world.bus.begin().await.unwrap();
        let id = insert_conversation(&mut tx, world.student(0), messages).await.unwrap();
        tx.commit().await.unwrap();
        world.happens(ConversationEnded { conversation_id: id, user_id: world.student(0) }).await;
    }
    assert_eq!(parked(&world).await.len(), 0);
    if cfg!(feature = "ai") {
        assert_eq!(world.number(READ, args![]).await, 4);
        assert_eq!(world.events("cross_pollination.opportunity").await.len(), 1);
    }
    world.stop().await;
}
