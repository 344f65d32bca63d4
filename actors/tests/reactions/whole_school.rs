//! A whole school graduates, from a file of completions to the last notification.

use std::time::Duration;

use serde_json::Value as Json;
use stentor::{Metadata, RawEvent, args};
use stentor_actors::school::{ADMINS, RECRUITERS, School};
use stentor_actors::{catalogue, chain};
use uuid::Uuid;

use crate::world::{Database, World, on_both_databases};

on_both_databases![a_thousand_students_graduate_from_a_file_and_every_effect_happens_exactly_once];

const STUDENTS: u32 = 1_000;
/// Fewer than there are students, so that some must wait.
const PLACES: u32 = 120 * 8;

/// Reads the file as `stentor publish --file` does, all events in one chain.
fn read(file: &[u8], chain_id: Uuid) -> Vec<RawEvent> {
    let text = std::str::from_utf8(file).unwrap();
    let event = |line: &str| {
        let line: Json = serde_json::from_str(line).unwrap();
        RawEvent {
            event_type: line["type"].as_str().unwrap().to_owned(),
            payload: line["payload"].clone(),
            id: None,
            metadata: Metadata { correlation_id: Some(chain_id), ..Metadata::default() },
        }
    };
    text.lines().map(event).collect()
}

async fn a_thousand_students_graduate_from_a_file_and_every_effect_happens_exactly_once(database: Database) {
    let world = World::start(database, School::new(STUDENTS, 42).pods(120, 8)).await;
    let mut file = Vec::new();
    world.school.write_completions(&mut file).unwrap();
    let chain_id = Uuid::now_v7();
    let events = read(&file, chain_id);
    assert!(events.len() >= 5_000);
    for chunk in events.chunks(1_000) {
        world.bus.client().publish(chunk.to_vec(), &catalogue()).await.unwrap();
    }
    let settled = chain::settled(world.bus.client(), chain_id);
    tokio::time::timeout(Duration::from_secs(300), settled).await.expect("the school graduates").unwrap();
    let students = i64::from(STUDENTS);
    let waiting = students - i64::from(PLACES);
    let letters = i64::from(PLACES) + waiting * i64::from(ADMINS);
    for (what, sql, expected) in [
        ("topics", "SELECT COUNT(*) AS n FROM topic_completions", events.len() as i64),
        (
            "graduation dates",
            "SELECT COUNT(*) AS n FROM user_profiles WHERE student_graduation_date IS NOT NULL",
            students,
        ),
        ("graduations", "SELECT COUNT(*) AS n FROM course_progress WHERE graduated_at IS NOT NULL", students),
        (
            "roles",
            "SELECT COUNT(*) AS n FROM user_roles u JOIN roles r ON r.id = u.role_id WHERE r.name = 'candidate'",
            students,
        ),
        ("bench", "SELECT COUNT(*) AS n FROM user_profiles WHERE candidate_status = 'bench'", students),
        ("members", "SELECT COUNT(*) AS n FROM pod_members", i64::from(PLACES)),
        ("full pods", "SELECT COUNT(*) AS n FROM pods WHERE members = capacity", 120),
        ("wait list", "SELECT COUNT(*) AS n FROM pod_waitlist", waiting),
        (
            "team",
            "SELECT COUNT(*) AS n FROM notifications WHERE title = 'New Graduate'",
            students * i64::from(RECRUITERS),
        ),
        ("letters", "SELECT COUNT(*) AS n FROM notifications WHERE title <> 'New Graduate'", letters),
        (
            "final scores",
            "SELECT COUNT(*) AS n FROM course_progress c WHERE ABS(final_score - (SELECT AVG(d.score)
            FROM topic_completions d JOIN topics t ON t.id = d.topic_id
            WHERE t.required AND d.user_id = c.user_id AND t.course_id = c.course_id)) < 0.000001",
            students,
        ),
    ] {
        assert_eq!(world.number(sql, args![]).await, expected, "{what}");
    }
    let trail = chain::events(world.bus.client(), chain_id).await.unwrap();
    assert_eq!(trail.len() as i64, events.len() as i64 + 2 * students + letters);
    let failed: Vec<_> =
        trail.iter().filter(|event| event.error.is_some() || event.processed_at.is_none()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    world.stop().await;
}
