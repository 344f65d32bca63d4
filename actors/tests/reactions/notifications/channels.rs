//! Letters leave by the channels that their user chose, once each.

use serde_json::{Value as Json, json};
use stentor::{BusBuilder, args};
use stentor_actors::notifications::{self, Settings};
use stentor_actors::school::School;
use uuid::Uuid;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::letter;
use super::mail_server::MailServer;
use crate::world::{Database, World, on_both_databases};

on_both_databases![
    a_user_without_channels_is_told_in_the_application_only,
    a_webhook_is_signed_and_comes_once,
    an_e_mail_in_any_script_comes_once,
    a_message_to_slack_comes_once,
    each_chosen_channel_gets_one_letter_and_one_that_is_off_gets_none,
    a_letter_is_not_sent_by_a_channel_that_was_switched_off_while_it_waited,
];

pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Starts a school where nobody else reacts, so that nothing else is counted.
pub(super) async fn start(database: Database, settings: Settings) -> World {
    World::start_with(database, School::new(2, 1), alone(settings)).await
}

pub(super) fn alone(settings: Settings) -> impl FnOnce(BusBuilder) -> BusBuilder {
    move |builder| {
        let builder = builder.catalogue(&stentor_actors::catalogue()).migrations(&stentor_actors::MIGRATIONS);
        notifications::modules(builder, &settings)
    }
}

/// Settings under which the servers of the tests may be reached.
pub(super) fn in_house() -> Settings {
    Settings { allow_private: true, ..Settings::default() }
}

pub(super) fn with_mail(server: &MailServer) -> Settings {
    Settings {
        smtp_url: Some(server.url().into()),
        mail_from: Some("Stentor <stentor@example.com>".to_owned()),
        ..in_house()
    }
}

/// Starts a server that answers posts to `/hook/s3cret` with a status.
pub(super) async fn hooks(status: u16) -> MockServer {
    let server = MockServer::start().await;
    let hook = Mock::given(method("POST")).and(path("/hook/s3cret"));
    hook.respond_with(ResponseTemplate::new(status)).mount(&server).await;
    server
}

pub(super) fn hook(server: &MockServer) -> String {
    format!("{}/hook/s3cret", server.uri())
}

pub(super) async fn choose(world: &World, user: Uuid, channel: &str, address: &str, secret: Option<&str>) {
    const CHOOSE: &str =
        "INSERT INTO notification_channels (user_id, channel, address, secret) VALUES ($1, $2, $3, $4)";
    world.write(CHOOSE, args![user, channel, address, secret]).await;
}

/// Lets a user choose all channels.
pub(super) async fn choose_all(world: &World, user: Uuid, webhooks: &MockServer, slack: &MockServer) {
    choose(world, user, "webhook", &hook(webhooks), Some(SECRET)).await;
    choose(world, user, "slack", &hook(slack), None).await;
    choose(world, user, "email", "zoe@example.org", None).await;
}

pub(super) async fn requests(server: &MockServer) -> Vec<wiremock::Request> {
    server.received_requests().await.unwrap()
}

/// Returns the id of the only event of a type.
pub(super) async fn only(world: &World, event_type: &str) -> Uuid {
    let events = world.events(event_type).await;
    assert_eq!(events.len(), 1, "{event_type}");
    events[0].id
}

async fn letters(world: &World, what: &str) -> i64 {
    world.number(&format!("SELECT COUNT(*) AS n FROM notification_letters WHERE {what}"), args![]).await
}

async fn a_user_without_channels_is_told_in_the_application_only(database: Database) {
    let server = hooks(200).await;
    let world = start(database, in_house()).await;
    choose(&world, world.student(1), "slack", &hook(&server), None).await;
    world.happens(letter(world.student(0))).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM notifications", args![]).await, 1);
    assert_eq!(letters(&world, "true").await, 0);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM system_events", args![]).await, 1);
    assert!(requests(&server).await.is_empty(), "another user's channel is left alone");
    world.stop().await;
}

async fn a_webhook_is_signed_and_comes_once(database: Database) {
    let server = hooks(200).await;
    let world = start(database, in_house()).await;
    let user = world.student(0);
    choose(&world, user, "webhook", &hook(&server), Some(SECRET)).await;
    let told = world.happens(letter(user)).await;
    let received = requests(&server).await;
    assert_eq!(received.len(), 1);
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    verifier.verify(&received[0].body, &received[0].headers).unwrap();
    let other = standardwebhooks::Webhook::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    assert!(other.verify(&received[0].body, &received[0].headers).is_err());
    let body: Json = received[0].body_json().unwrap();
    assert_eq!(body["type"], "notification.send");
    let data = json!({ "userId": user, "title": "Grüße", "message": "πάντα ῥεῖ", "type": "success" });
    assert_eq!(body["data"], data);
    assert_eq!(received[0].headers["content-type"], "application/json");
    assert_eq!(letters(&world, "channel = 'webhook' AND sent_at IS NOT NULL").await, 1);
    again(&world, told, "webhook").await;
    assert_eq!(requests(&server).await.len(), 1);
    world.stop().await;
}

/// Delivers the notification and its letter again.
async fn again(world: &World, told: Uuid, channel: &str) {
    let queued = only(world, &format!("{channel}.queued")).await;
    let tally = world.tally().await;
    world.happens_again(told, "notifications").await;
    world.happens_again(queued, &format!("notifications-{channel}")).await;
    assert_eq!(world.tally().await, tally);
}

async fn an_e_mail_in_any_script_comes_once(database: Database) {
    let server = MailServer::up();
    let world = start(database, with_mail(&server)).await;
    choose(&world, world.student(0), "email", "zoe@example.org", None).await;
    let told = world.happens(letter(world.student(0))).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("stentor@example.com", "zoe@example.org"));
    assert_eq!((mail.subject.as_str(), mail.text.as_str()), ("Grüße", "πάντα ῥεῖ"));
    let id: Uuid = world.rows("SELECT id FROM notification_letters", args![]).await[0].get("id").unwrap();
    assert_eq!(mail.id, format!("{id}@example.com"));
    again(&world, told, "email").await;
    assert_eq!(server.mails().len(), 1);
    world.stop().await;
}

async fn a_message_to_slack_comes_once(database: Database) {
    let server = hooks(200).await;
    let world = start(database, in_house()).await;
    choose(&world, world.student(0), "slack", &hook(&server), None).await;
    let told = world.happens(letter(world.student(0))).await;
    let received = requests(&server).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body_json::<Json>().unwrap(), json!({ "text": "*Grüße*\nπάντα ῥεῖ" }));
    again(&world, told, "slack").await;
    assert_eq!(requests(&server).await.len(), 1);
    world.stop().await;
}

async fn each_chosen_channel_gets_one_letter_and_one_that_is_off_gets_none(database: Database) {
    let (webhooks, slack, mail) = (hooks(200).await, hooks(200).await, MailServer::up());
    let world = start(database, with_mail(&mail)).await;
    let user = world.student(0);
    choose_all(&world, user, &webhooks, &slack).await;
    let arrived =
        async || (requests(&webhooks).await.len(), requests(&slack).await.len(), mail.mails().len());
    world.happens(letter(user)).await;
    assert_eq!(arrived().await, (1, 1, 1));
    world.write("UPDATE notification_channels SET enabled = $1 WHERE channel = 'slack'", args![false]).await;
    world.happens(letter(user)).await;
    assert_eq!(arrived().await, (2, 1, 2));
    assert_eq!(letters(&world, "sent_at IS NOT NULL").await, 5);
    world.stop().await;
}

async fn a_letter_is_not_sent_by_a_channel_that_was_switched_off_while_it_waited(database: Database) {
    let server = hooks(200).await;
    let world = start(database, in_house()).await;
    choose(&world, world.student(0), "slack", &hook(&server), None).await;
    world.bus.pause("notifications-slack").await.unwrap();
    world.bus.publish(letter(world.student(0))).await.unwrap();
    super::until(async || letters(&world, "true").await == 1).await;
    world.write("DELETE FROM notification_channels", args![]).await;
    world.bus.resume("notifications-slack").await.unwrap();
    let queued = only(&world, "slack.queued").await;
    super::until(async || world.bus.client().is_processed(queued).await.unwrap()).await;
    assert!(requests(&server).await.is_empty());
    assert_eq!(letters(&world, "sent_at IS NULL").await, 1);
    world.stop().await;
}
