//! Notifications: whoever should know is told, in the application and beyond it.
//!
//! ```text
//! what happened ─→ row in `notifications`
//! notification.send ─→ row in `notifications`, one in `notification_letters` for each channel that the user chose
//!                      └→ email.queued · webhook.queued · slack.queued ─→ a courier each ─→ `sent_at`
//! ```
//!
//! Each channel has an event type and a module of its own. The bus retries by
//! delivery, breaks by module and type, and runs by module: a mail server that is
//! dead or slow repeats no webhook, opens no other channel's breaker, and keeps no
//! worker from writing rows. Types alone would have shared the workers; modules
//! alone would have let every courier acknowledge the others' letters, which a
//! breaker counts as successes.
//!
//! A letter goes out before the transaction that marks it sent. A crash between
//! the two sends it again: to the outside it is delivered at least once. All
//! repeats carry the letter's id, as `webhook-id` or `Message-ID`, for receivers
//! to drop them by; Slack has no such thing.

use stentor::{
    BusBuilder, Context, Handle, HandlerError, Module, ModuleOptions, Subscriptions, Transaction, args,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{
    AchievementEarned, CourseGraduated, EmployeeHired, ExpenseApproved, GoalAchieved, InterviewScheduled,
    LeaveApproved, NotificationKind, NotificationSend, SystemError,
};
use crate::people::{Role, unknown};

mod addresses;
mod courier;
mod digest;
mod email;
mod letters;
mod occasions;
mod post;
mod settings;
mod slack;
mod webhook;

pub use settings::Settings;

/// Tells people what happened, in the application, and writes the letters for other channels.
#[derive(Debug)]
pub struct Notifications;

/// Registers [`Notifications`] and a courier for each channel.
pub fn modules(bus: BusBuilder, settings: &Settings) -> BusBuilder {
    let email = email::Email::new(settings);
    let post = post::Post::new(settings);
    bus.module(|| Notifications)
        .module(move || courier::Courier(email.clone()))
        .module(move || courier::Courier(webhook::Webhook(post)))
        .module(move || courier::Courier(slack::Slack(post)))
}

impl Module for Notifications {
    const NAME: &'static str = "notifications";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<AchievementEarned>();
        on.event::<CourseGraduated>();
        on.event::<EmployeeHired>();
        on.event::<ExpenseApproved>();
        on.event::<GoalAchieved>();
        on.event::<InterviewScheduled>();
        on.event::<LeaveApproved>();
        on.event::<NotificationSend>();
        on.event::<SystemError>();
    }

    /// Two workers, as half of what comes in are answers to the other half.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(2).deliveries_per_transaction(32)
    }
}

/// What somebody is told.
struct Notice<'a> {
    title: &'a str,
    message: &'a str,
    kind: NotificationKind,
    /// What it is about. Nobody is told of the same thing twice.
    source: String,
    at: OffsetDateTime,
}

/// Tells one user; returns the notification's id, or nothing if the user has been told before.
async fn tell(tx: &mut Transaction, user: Uuid, notice: Notice<'_>) -> Result<Option<Uuid>, HandlerError> {
    const TELL: &str = "INSERT INTO notifications (user_id, title, message, type, source, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, source) DO NOTHING RETURNING id";
    let Notice { title, message, kind, source, at } = notice;
    let told = tx
        .fetch_optional(TELL, args![user, title, message, kind.as_str(), source, at])
        .await
        .map_err(|error| unknown(error, || format!("user {user} does not exist")))?;
    Ok(told.map(|row| row.get("id")).transpose()?)
}

/// Tells everyone who has a role.
async fn tell_team(tx: &mut Transaction, role: Role, notice: Notice<'_>) -> Result<(), HandlerError> {
    const TELL: &str = "INSERT INTO notifications (user_id, title, message, type, source, created_at)
        SELECT user_id, $1, $2, $3, $4, $5 FROM user_roles
        WHERE role_id = (SELECT id FROM roles WHERE name = $6)
        ON CONFLICT (user_id, source) DO NOTHING";
    let Notice { title, message, kind, source, at } = notice;
    tx.execute(TELL, args![title, message, kind.as_str(), source, at, role.as_str()]).await?;
    Ok(())
}

impl Handle<NotificationSend> for Notifications {
    async fn handle(&mut self, event: &NotificationSend, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let NotificationSend { user_id, title, message, kind } = event;
        let source = format!("notification.send/{}", cx.envelope().id);
        let notice = Notice { title, message, kind: *kind, source, at: cx.envelope().created_at };
        let Some(notification) = tell(cx.transaction().await?, *user_id, notice).await? else {
            return Ok(());
        };
        letters::queue(cx, *user_id, notification).await
    }
}

impl Handle<SystemError> for Notifications {
    async fn handle(&mut self, event: &SystemError, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let (id, at) = (cx.envelope().id, cx.envelope().created_at);
        let tx = cx.transaction().await?;
        digest::add(tx, event, id, at).await
    }
}
