//! A channel that fails is tried again on its own, and says why without telling a secret.

use std::time::Duration;

use stentor::audit::{DeliveryFilter, DeliveryRecord};
use stentor::delivery::DeliveryState;
use stentor::{Publication, args};
use stentor_actors::chain;
use stentor_actors::notifications::Settings;
use uuid::Uuid;
use wiremock::matchers::method;
use wiremock::{Mock, ResponseTemplate};

use super::channels::{SECRET, choose, choose_all, hook, hooks, in_house, only, requests, start, with_mail};
use super::mail_server::MailServer;
use super::{letter, until};
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    a_dead_mail_server_neither_holds_up_nor_repeats_the_webhook,
    a_webhook_that_failed_is_repeated_under_the_same_id,
    a_webhook_that_is_refused_is_parked_and_tells_no_secret,
    a_slack_message_that_is_refused_is_parked_and_tells_no_secret,
    a_private_address_is_refused_before_anything_is_sent,
    an_e_mail_without_a_mail_server_is_parked_and_says_what_to_set,
    an_e_mail_that_the_server_refuses_for_good_is_parked,
];

with_crashes![a_letter_whose_sending_was_not_acknowledged_goes_out_again_under_the_same_id,];

/// Returns the delivery of an event to the courier of a channel, once it left the live path.
async fn carried(world: &World, channel: &str) -> Option<DeliveryRecord> {
    let filter =
        DeliveryFilter { module: Some(format!("notifications-{channel}")), ..DeliveryFilter::default() };
    world.bus.client().deliveries(&filter, 10).await.unwrap().pop()
}

async fn a_dead_mail_server_neither_holds_up_nor_repeats_the_webhook(database: Database) {
    let (webhooks, mut mail) = (hooks(200).await, MailServer::down());
    let world = start(database, with_mail(&mail)).await;
    let user = world.student(0);
    choose(&world, user, "email", "zoe@example.org", None).await;
    choose(&world, user, "webhook", &hook(&webhooks), Some(SECRET)).await;
    let chain_id = Uuid::now_v7();
    world.bus.publish(Publication::new(letter(user)).correlation_id(chain_id)).await.unwrap();
    until(async || carried(&world, "email").await.is_some_and(|delivery| delivery.attempts >= 2)).await;
    until(async || requests(&webhooks).await.len() == 1).await;
    assert_eq!(carried(&world, "email").await.unwrap().state, DeliveryState::Pending);
    mail.start(&[]);
    let settled = chain::settled(world.bus.client(), chain_id);
    tokio::time::timeout(Duration::from_secs(20), settled).await.expect("the e-mail is delivered").unwrap();
    assert_eq!((mail.mails().len(), requests(&webhooks).await.len()), (1, 1));
    let sent =
        world.number("SELECT COUNT(*) AS n FROM notification_letters WHERE sent_at IS NOT NULL", args![]);
    assert_eq!(sent.await, 2);
    world.stop().await;
}

async fn a_webhook_that_failed_is_repeated_under_the_same_id(database: Database) {
    let server = hooks(200).await;
    let failing = Mock::given(method("POST")).respond_with(ResponseTemplate::new(503));
    failing.up_to_n_times(1).with_priority(1).mount(&server).await;
    let world = start(database, in_house()).await;
    choose(&world, world.student(0), "webhook", &hook(&server), Some(SECRET)).await;
    world.happens(letter(world.student(0))).await;
    let received = requests(&server).await;
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    assert_eq!(received[0].body, received[1].body);
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    for request in received {
        verifier.verify(&request.body, &request.headers).unwrap();
    }
    world.stop().await;
}

/// Lets a letter of one channel fail for good, and returns what the dead letter says.
async fn parked(world: &World, channel: &str, address: &str, secret: Option<&str>) -> String {
    choose(world, world.student(0), channel, address, secret).await;
    world.happens(letter(world.student(0))).await;
    let queued = only(world, &format!("{channel}.queued")).await;
    let delivery = world.delivery(queued, &format!("notifications-{channel}")).await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 1));
    let unsent = "SELECT COUNT(*) AS n FROM notification_letters WHERE sent_at IS NULL";
    assert_eq!(world.number(unsent, args![]).await, 1);
    let said = delivery.errors.to_string();
    for event in world.events("system.error").await {
        assert!(!event.payload.to_string().contains("s3cret"), "{}", event.payload);
    }
    for secret in ["s3cret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert!(!said.contains(secret), "{said}");
    }
    said
}

async fn a_webhook_that_is_refused_is_parked_and_tells_no_secret(database: Database) {
    let server = hooks(410).await;
    let world = start(database, in_house()).await;
    let said = parked(&world, "webhook", &hook(&server), Some(SECRET)).await;
    assert!(said.contains("127.0.0.1 answered 410 Gone"), "{said}");
    world.stop().await;
}

async fn a_slack_message_that_is_refused_is_parked_and_tells_no_secret(database: Database) {
    let server = hooks(404).await;
    let world = start(database, in_house()).await;
    let said = parked(&world, "slack", &hook(&server), None).await;
    assert!(said.contains("127.0.0.1 answered 404"), "{said}");
    world.stop().await;
}

async fn a_private_address_is_refused_before_anything_is_sent(database: Database) {
    let server = hooks(200).await;
    let world = start(database, Settings::default()).await;
    let address = format!("https://localhost:{}/hook/s3cret", server.address().port());
    let said = parked(&world, "webhook", &address, Some(SECRET)).await;
    assert!(said.contains("localhost has the address") && said.contains("which is not public"), "{said}");
    assert!(requests(&server).await.is_empty());
    world.stop().await;
}

async fn an_e_mail_without_a_mail_server_is_parked_and_says_what_to_set(database: Database) {
    let world = start(database, Settings::default()).await;
    let said = parked(&world, "email", "zoe@example.org", None).await;
    assert!(said.contains("set notifications.smtp_url and notifications.mail_from"), "{said}");
    world.stop().await;
}

async fn an_e_mail_that_the_server_refuses_for_good_is_parked(database: Database) {
    let mut mail = MailServer::down();
    mail.start(&["--size", "10"]);
    let world = start(database, with_mail(&mail)).await;
    let said = parked(&world, "email", "zoe@example.org", None).await;
    assert!(said.contains("refused the letter for good") && said.contains("552"), "{said}");
    assert!(mail.mails().is_empty());
    world.stop().await;
}

async fn a_letter_whose_sending_was_not_acknowledged_goes_out_again_under_the_same_id(database: Database) {
    let (webhooks, slack, mail) = (hooks(200).await, hooks(200).await, MailServer::up());
    let world = start(database, with_mail(&mail)).await;
    let user = world.student(0);
    choose_all(&world, user, &webhooks, &slack).await;
    world.happens(letter(user)).await;
    let (webhooks, mails) = (requests(&webhooks).await, mail.mails());
    assert_eq!((webhooks.len(), requests(&slack).await.len(), mails.len()), (2, 2, 2));
    assert_eq!(webhooks[0].headers["webhook-id"], webhooks[1].headers["webhook-id"]);
    assert_eq!(mails[0].id, mails[1].id);
    let letters = "SELECT COUNT(*) AS n FROM notification_letters WHERE sent_at IS NOT NULL";
    assert_eq!(world.number(letters, args![]).await, 3);
    world.stop().await;
}
