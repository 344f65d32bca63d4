//! Occasions: what happened, and who is told of it in the application.

use stentor::{Context, Fatal, Handle, HandlerError, Transaction, args};
use time::OffsetDateTime;
use time::format_description::{BorrowedFormatItem, StaticFormatDescription};
use time::macros::format_description;
use uuid::Uuid;

use super::{Notice, Notifications, tell, tell_team};
use crate::events::{
    AchievementEarned, CourseGraduated, EmployeeHired, ExpenseApproved, GoalAchieved, InterviewScheduled,
    LeaveApproved, NotificationKind, check_score,
};
use crate::people::{Role, absent, in_utc, name_of};

/// How people read a day, and a moment.
const DAY: StaticFormatDescription = format_description!("[day padding:none] [month repr:long] [year]");
const MOMENT: StaticFormatDescription =
    format_description!("[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC");

impl Handle<CourseGraduated> for Notifications {
    async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let CourseGraduated { user_id, course_id, final_score } = *event;
        check_score(final_score).fatal()?;
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

impl Handle<AchievementEarned> for Notifications {
    async fn handle(&mut self, event: &AchievementEarned, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let AchievementEarned { user_id, achievement_id } = event;
        let notice = Notice {
            title: "Achievement Earned",
            message: &format!("You earned the achievement {achievement_id}"),
            kind: NotificationKind::Success,
            source: format!("achievement.earned/{achievement_id}"),
            at: cx.envelope().created_at,
        };
        tell(cx.transaction().await?, *user_id, notice).await.map(drop)
    }
}

impl Handle<GoalAchieved> for Notifications {
    async fn handle(&mut self, event: &GoalAchieved, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let GoalAchieved { goal_id, pod_id, value } = *event;
        let at = cx.envelope().created_at;
        let tx = cx.transaction().await?;
        let pod = pod_name(tx, pod_id).await?;
        let notice = Notice {
            title: "Goal Achieved",
            message: &format!("Your pod {pod} achieved its goal of {value}"),
            kind: NotificationKind::Success,
            source: format!("goal.achieved/{goal_id}"),
            at,
        };
        tell_pod(tx, pod_id, notice).await
    }
}

async fn pod_name(tx: &mut Transaction, pod: Uuid) -> Result<String, HandlerError> {
    const NAME: &str = "SELECT name FROM pods WHERE id = $1";
    match tx.fetch_optional(NAME, args![pod]).await? {
        Some(row) => Ok(row.get("name")?),
        None => Err(absent(&format!("pod {pod} does not exist"))),
    }
}

/// Tells a pod's juniors and its senior.
async fn tell_pod(tx: &mut Transaction, pod: Uuid, notice: Notice<'_>) -> Result<(), HandlerError> {
    // `WHERE true` keeps SQLite from reading ON CONFLICT as a join's condition.
    const TELL: &str = "INSERT INTO notifications (user_id, title, message, type, source, created_at)
        SELECT user_id, $1, $2, $3, $4, $5 FROM (
            SELECT user_id FROM pod_members WHERE pod_id = $6 UNION SELECT senior_id FROM pods WHERE id = $6
        ) AS pod WHERE true
        ON CONFLICT (user_id, source) DO NOTHING";
    let Notice { title, message, kind, source, at } = notice;
    tx.execute(TELL, args![title, message, kind.as_str(), source, at, pod]).await?;
    Ok(())
}

impl Handle<InterviewScheduled> for Notifications {
    async fn handle(&mut self, event: &InterviewScheduled, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let InterviewScheduled { interview_id, candidate_id, datetime } = *event;
        let at = cx.envelope().created_at;
        let moment = written(in_utc(datetime)?, MOMENT)?;
        let tx = cx.transaction().await?;
        let name = name_of(tx, candidate_id).await?;
        // A new time is news, the same time again is not.
        let notice = |message| Notice {
            title: "Interview Scheduled",
            message,
            kind: NotificationKind::Info,
            source: format!("interview.scheduled/{interview_id}/{}", datetime.unix_timestamp()),
            at,
        };
        let (own, others) = (
            format!("Your interview takes place on {moment}"),
            format!("{name} has an interview on {moment}"),
        );
        tell(tx, candidate_id, notice(&own)).await?;
        tell_team(tx, Role::Recruiter, notice(&others)).await
    }
}

impl Handle<LeaveApproved> for Notifications {
    async fn handle(&mut self, event: &LeaveApproved, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let LeaveApproved { leave_id, user_id, days } = *event;
        let unit = if days > 1.0 { "days" } else { "day" };
        let notice = Notice {
            title: "Leave Approved",
            message: &format!("Your leave of {days} {unit} is approved"),
            kind: NotificationKind::Success,
            source: format!("leave.approved/{leave_id}"),
            at: cx.envelope().created_at,
        };
        tell(cx.transaction().await?, user_id, notice).await.map(drop)
    }
}

impl Handle<ExpenseApproved> for Notifications {
    async fn handle(&mut self, event: &ExpenseApproved, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let ExpenseApproved { expense_id, user_id, amount } = *event;
        let notice = Notice {
            title: "Expense Approved",
            message: &format!("Your expense of {amount} is approved and will be paid back"),
            kind: NotificationKind::Success,
            source: format!("expense.approved/{expense_id}"),
            at: cx.envelope().created_at,
        };
        tell(cx.transaction().await?, user_id, notice).await.map(drop)
    }
}

impl Handle<EmployeeHired> for Notifications {
    async fn handle(&mut self, event: &EmployeeHired, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let EmployeeHired { user_id, start_date, .. } = *event;
        let day = written(start_date.midnight().assume_utc(), DAY)?;
        let notice = Notice {
            title: "Welcome",
            message: &format!("You are hired; your first working day is {day}"),
            kind: NotificationKind::Success,
            source: format!("employee.hired/{start_date}"),
            at: cx.envelope().created_at,
        };
        tell(cx.transaction().await?, user_id, notice).await.map(drop)
    }
}

/// Writes a moment, which is in UTC, for people.
fn written(moment: OffsetDateTime, form: &[BorrowedFormatItem<'_>]) -> Result<String, HandlerError> {
    moment.format(form).fatal()
}
