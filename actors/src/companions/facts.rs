//! What a résumé says, as the tables knew it when its event happened.
//!
//! Whatever came later is left out, so an event that is delivered again makes
//! the same résumé although its graduate has learnt more since.

use stentor::{Context, HandlerError, args};
use time::{Date, OffsetDateTime};

use crate::events::CourseGraduated;
use crate::people::absent;

/// What a résumé says.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) email: String,
    /// The course whose end the résumé is written for.
    pub(super) course: Course,
    /// The courses before it, latest first.
    pub(super) earlier: Vec<Course>,
    /// Topics of all these courses, in the courses' order and in the order of each course.
    pub(super) topics: Vec<Topic>,
    /// When the event happened, which is the document's date too.
    pub(super) at: OffsetDateTime,
}

/// A course that was completed.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) title: String,
    /// 0 to 100.
    pub(super) score: f64,
    pub(super) graduated_on: Date,
}

/// A topic that was completed.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) title: String,
    /// 0 to 100.
    pub(super) score: f64,
}

/// Reads what there is to say about a graduate, without holding up anybody who writes.
///
/// # Errors
///
/// Fatal if the user or the course does not exist.
pub(super) async fn read(event: &CourseGraduated, cx: &Context<'_>) -> Result<Facts, HandlerError> {
    const PERSON: &str = "SELECT p.full_name, p.email, c.title FROM user_profiles p CROSS JOIN courses c
        WHERE p.id = $1 AND c.id = $2";
    let CourseGraduated { user_id, course_id, final_score } = *event;
    let at = cx.envelope().created_at;
    let person = cx.fetch_all(PERSON, args![user_id, course_id]).await?;
    let Some(person) = person.first() else {
        return Err(absent(&format!("user {user_id} or course {course_id} does not exist")));
    };
    Ok(Facts {
        name: person.get("full_name")?,
        email: person.get("email")?,
        course: Course { title: person.get("title")?, score: final_score, graduated_on: at.date() },
        earlier: earlier(event, at, cx).await?,
        topics: topics(event, at, cx).await?,
        at,
    })
}

async fn earlier(
    event: &CourseGraduated,
    at: OffsetDateTime,
    cx: &Context<'_>,
) -> Result<Vec<Course>, HandlerError> {
    const EARLIER: &str = "SELECT c.title, g.final_score, g.graduated_at
        FROM course_progress g JOIN courses c ON c.id = g.course_id
        WHERE g.user_id = $1 AND g.course_id <> $2 AND g.graduated_at <= $3
        ORDER BY g.graduated_at DESC, c.id";
    let mut courses = Vec::new();
    for row in cx.fetch_all(EARLIER, args![event.user_id, event.course_id, at]).await? {
        let graduated_at: OffsetDateTime = row.get("graduated_at")?;
        let (title, score) = (row.get("title")?, row.get("final_score")?);
        courses.push(Course { title, score, graduated_on: graduated_at.date() });
    }
    Ok(courses)
}

async fn topics(
    event: &CourseGraduated,
    at: OffsetDateTime,
    cx: &Context<'_>,
) -> Result<Vec<Topic>, HandlerError> {
    // Required topics were in when their course ended, whatever the clock of the node says that recorded them.
    const TOPICS: &str = "SELECT t.title, d.score
        FROM topic_completions d JOIN topics t ON t.id = d.topic_id
        LEFT JOIN course_progress g ON g.user_id = d.user_id AND g.course_id = t.course_id
        WHERE d.user_id = $1 AND (t.course_id = $2 OR g.graduated_at <= $3)
            AND (t.required OR d.completed_at <= $3)
        ORDER BY CASE WHEN t.course_id = $2 THEN 0 ELSE 1 END, g.graduated_at DESC, t.course_id, t.position";
    let rows = cx.fetch_all(TOPICS, args![event.user_id, event.course_id, at]).await?;
    let topic = |row: &stentor::Row| Ok(Topic { title: row.get("title")?, score: row.get("score")? });
    rows.iter().map(topic).collect()
}
