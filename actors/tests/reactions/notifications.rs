//! Whoever should know is told, once.

use stentor::args;
use stentor::delivery::DeliveryState;
use stentor_actors::events::{CourseGraduated, Example, NotificationKind, NotificationSend, SystemError};
use stentor_actors::notifications::Notifications;
use stentor_actors::school::{ADMINS, RECRUITERS, School};
use uuid::Uuid;

use crate::world::{Database, World, impatient, on_both_databases, with_crashes};

mod channels;
mod failures;
mod mail_server;
mod occasions;

on_both_databases![
    the_whole_recruitment_team_is_told_of_a_graduate_once,
    a_notification_reaches_its_user_once,
    a_notification_for_nobody_is_parked_and_says_so,
    a_storm_of_errors_makes_one_message_for_each_admin,
    an_error_delivered_again_is_not_counted_again,
    a_failure_to_tell_of_an_error_is_not_an_error_to_tell_of,
];

with_crashes![
    the_whole_recruitment_team_is_told_of_a_graduate_once,
    a_notification_reaches_its_user_once,
    an_error_delivered_again_is_not_counted_again,
];

async fn the_whole_recruitment_team_is_told_of_a_graduate_once(database: Database) {
    const TOLD: &str = "SELECT n.message, p.full_name FROM notifications n CROSS JOIN user_profiles p
        JOIN user_roles u ON u.user_id = n.user_id JOIN roles r ON r.id = u.role_id
        WHERE r.name = 'recruiter' AND p.id = $1";
    let world = World::start(database, School::new(1, 1)).await;
    let event = world
        .happens(CourseGraduated {
            user_id: world.student(0),
            course_id: world.school.course_id(0),
            final_score: 91.26,
        })
        .await;
    let told = world.rows(TOLD, args![world.student(0)]).await;
    assert_eq!(told.len(), RECRUITERS as usize);
    let name: String = told[0].get("full_name").unwrap();
    assert_eq!(
        told[0].get::<String>("message").unwrap(),
        format!("{name} graduated from Backend Engineering with a final score of 91.3")
    );
    let tally = world.tally().await;
    world.happens_again(event, "notifications").await;
    assert_eq!(world.tally().await, tally);
    world.stop().await;
}

fn letter(user_id: Uuid) -> NotificationSend {
    NotificationSend {
        user_id,
        title: "Grüße".to_owned(),
        message: "πάντα ῥεῖ".to_owned(),
        kind: NotificationKind::Success,
    }
}

async fn a_notification_reaches_its_user_once(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(letter(world.student(0))).await;
    world.happens_again(event, "notifications").await;
    let rows = world
        .rows("SELECT title, message, type FROM notifications WHERE user_id = $1", args![world.student(0)])
        .await;
    assert_eq!(rows.len(), 1);
    let texts = ["title", "message", "type"].map(|column| rows[0].get::<String>(column).unwrap());
    assert_eq!(texts, ["Grüße", "πάντα ῥεῖ", "success"]);
    // Another event with the same words is another notification.
    world.happens(letter(world.student(0))).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM notifications", args![]).await, 2);
    world.stop().await;
}

async fn a_notification_for_nobody_is_parked_and_says_so(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let nobody = Uuid::now_v7();
    let event = world.happens(letter(nobody)).await;
    let delivery = world.delivery(event, "notifications").await;
    assert_eq!(delivery.state, DeliveryState::Dead);
    assert!(delivery.errors.to_string().contains(&format!("user {nobody} does not exist")));
    world.stop().await;
}

const DIGESTS: &str = "SELECT n.message, n.read_at FROM notifications n
    JOIN user_roles u ON u.user_id = n.user_id JOIN roles r ON r.id = u.role_id
    WHERE r.name = 'admin' AND n.type = 'error' ORDER BY n.created_at";
const COUNTED: &str = "SELECT CAST(SUM(errors) AS BIGINT) AS n FROM error_digests";

async fn a_storm_of_errors_makes_one_message_for_each_admin(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    world.happens(SystemError::example()).await;
    world.write("UPDATE notifications SET read_at = created_at", args![]).await;
    world.all_happen((0..200).map(|_| SystemError::example())).await;
    let digests = world.rows(DIGESTS, args![]).await;
    // The storm may begin in one quarter of an hour and end in the next.
    let windows = world.number("SELECT COUNT(*) AS n FROM error_digests", args![]).await;
    assert!((1..=2).contains(&windows), "{windows}");
    assert_eq!(digests.len() as i64, windows * i64::from(ADMINS));
    assert_eq!(world.number(COUNTED, args![]).await, 201);
    let last = digests.last().unwrap();
    let message: String = last.get("message").unwrap();
    assert!(message.contains("ats failed on course.graduated"), "{message}");
    assert_eq!(last.get::<Option<time::OffsetDateTime>>("read_at").unwrap(), None, "it is unread again");
    world.stop().await;
}

async fn an_error_delivered_again_is_not_counted_again(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(SystemError::example()).await;
    let tally = world.tally().await;
    world.happens_again(event, "notifications").await;
    assert_eq!(world.tally().await, tally);
    assert_eq!(world.number(COUNTED, args![]).await, 1);
    world.stop().await;
}

async fn a_failure_to_tell_of_an_error_is_not_an_error_to_tell_of(database: Database) {
    let world = World::start_with(database, School::new(1, 1), |builder| {
        builder
            .catalogue(&stentor_actors::catalogue())
            .migrations(&stentor_actors::MIGRATIONS)
            .module_with(impatient(), || Notifications)
    })
    .await;
    world.write("DROP TABLE error_digest_events", args![]).await;
    let event = world.happens(SystemError::example()).await;
    assert_eq!(world.delivery(event, "notifications").await.state, DeliveryState::Dead);
    // A dead letter of another type does make one, so the silence above is no accident. The table of
    // notifications goes too, so that a letter dies of something that a retry might have cured.
    world.write("DROP TABLE notification_letters", args![]).await;
    world.write("DROP TABLE notifications", args![]).await;
    let letter = world.happens(letter(world.student(0))).await;
    assert_eq!(world.delivery(letter, "notifications").await.state, DeliveryState::Dead);
    let announced = async {
        while world.events("system.error").await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), announced)
        .await
        .expect("the letter's death is announced");
    let errors = world.events("system.error").await;
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[1].payload["originalEvent"]["id"], letter.to_string());
    world.stop().await;
}

/// Waits until something is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("it comes to be so");
}
