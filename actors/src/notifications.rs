//! Notifications: whoever should know is told, in the application.

use stentor::{Context, Handle, HandlerError, Module, ModuleOptions, Subscriptions, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{CourseGraduated, NotificationKind, NotificationSend, SystemError};
use crate::people::{Role, absent, unknown};

mod digest;

/// Tells people what happened.
#[derive(Debug)]
pub struct Notifications;

impl Module for Notifications {
    const NAME: &'static str = "notifications";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CourseGraduated>();
        on.event::<NotificationSend>();
        on.event::<SystemError>();
    }

    /// Two workers, as half of what comes in are answers to the other half.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(2)
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

impl Handle<CourseGraduated> for Notifications {
    async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let CourseGraduated { user_id, course_id, final_score } = *event;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        let (name, course) = graduation(tx, user_id, course_id).await?;
        let notice = Notice {
            title: "New Graduate",
            message: &format!("{name} graduated from {course} with a final score of {final_score:.1}"),
            kind: NotificationKind::Success,
            source: format!("course.graduated/{user_id}/{course_id}"),
            at,
        };
        tell_team(tx, Role::Recruiter, notice).await
    }
}

/// Returns the names of a graduate and of the course.
async fn graduation(
    tx: &mut Transaction,
    user: Uuid,
    course: Uuid,
) -> Result<(String, String), HandlerError> {
    const NAMES: &str = "SELECT p.full_name, c.title FROM user_profiles p CROSS JOIN courses c
        WHERE p.id = $1 AND c.id = $2";
    match tx.fetch_optional(NAMES, args![user, course]).await? {
        Some(row) => Ok((row.get("full_name")?, row.get("title")?)),
        None => Err(absent(&format!("user {user} or course {course} does not exist"))),
    }
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
        const TELL: &str = "INSERT INTO notifications (user_id, title, message, type, source, created_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, source) DO NOTHING";
        let NotificationSend { user_id, title, message, kind } = event;
        let at = cx.envelope().created_at;
        let source = format!("notification.send/{}", cx.envelope().id);
        let tx = cx.transaction().await?;
        tx.execute(TELL, args![*user_id, title, message, kind.as_str(), source, at])
            .await
            .map_err(|error| unknown(error, || format!("user {user_id} does not exist")))?;
        Ok(())
    }
}

impl Handle<SystemError> for Notifications {
    async fn handle(&mut self, event: &SystemError, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let (id, at) = (cx.envelope().id, cx.envelope().created_at);
        let tx = cx.transaction().await?;
        digest::add(tx, event, id, at).await
    }
}
