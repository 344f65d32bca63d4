//! A school to show and to test with, made from a number and nothing else.
//!
//! Every id, name and score is derived from the seed, so the same school can be
//! made again byte for byte, here and elsewhere.

use std::io::{self, Write};

use serde::Serialize;
use stentor::{Bus, Event, StoreError};
use uuid::Uuid;

use crate::events::TopicCompleted;
use crate::people::Role;

mod names;
mod rows;

pub use rows::insert_conversation;

/// How many juniors a pod has room for.
const POD_CAPACITY: u32 = 6;
/// How many recruiters are on the recruitment team.
pub const RECRUITERS: u32 = 3;
/// How many admins there are.
pub const ADMINS: u32 = 2;
/// How many courses the school offers; students are spread over them.
const COURSES: u32 = 3;
/// How many topics of a course must be completed to graduate.
const REQUIRED_TOPICS: u32 = 5;
/// Every third student completes the course's optional topic too.
const OPTIONAL_EVERY: u32 = 3;

/// A school: courses with topics, students, pods with seniors, recruiters and admins.
///
/// Every student will graduate once all of [`School::completions`] are published.
/// By default there is a place in a pod for all but the last few: as many pods as
/// can be filled, and at least one.
#[derive(Debug, Clone)]
pub struct School {
    seed: u64,
    students: u32,
    pods: u32,
    pod_capacity: u32,
}

impl School {
    /// Describes the school that has `students` students and grows from `seed`.
    #[must_use]
    pub fn new(students: u32, seed: u64) -> Self {
        Self { seed, students, pods: (students / POD_CAPACITY).max(1), pod_capacity: POD_CAPACITY }
    }

    /// Sets how many pods there are and how many juniors each has room for.
    #[must_use]
    pub fn pods(mut self, pods: u32, capacity: u32) -> Self {
        self.pods = pods;
        self.pod_capacity = capacity;
        self
    }

    /// Writes the school's rows into the modules' tables, all or none.
    ///
    /// # Errors
    ///
    /// Fails if the database does, or if this school is in it already.
    pub async fn insert(&self, bus: &Bus) -> Result<(), StoreError> {
        let mut transaction = bus.begin().await?;
        rows::insert(self, &mut transaction).await?;
        transaction.commit().await
    }

    /// Returns the students' user ids.
    pub fn student_ids(&self) -> impl Iterator<Item = Uuid> + '_ {
        (0..self.students).map(|student| self.student(student))
    }

    /// Returns the required topics of the course that `student` attends, by student number.
    pub fn required_topics(&self, student: u32) -> impl Iterator<Item = Uuid> + '_ {
        (0..REQUIRED_TOPICS).map(move |topic| self.topic(course_of(student), topic))
    }

    /// Returns the course that `student` attends, by student number.
    #[must_use]
    pub fn course_id(&self, student: u32) -> Uuid {
        self.id("course", course_of(student))
    }

    /// Returns the pattern, for SQL's `LIKE`, of the e-mail addresses of everyone who began with `role`.
    #[must_use]
    pub fn emails(&self, role: Role) -> String {
        format!("{}-%@{}", role.as_str(), self.domain())
    }

    fn domain(&self) -> String {
        format!("school-{:x}.example", self.seed)
    }

    /// Returns every topic that every student completes, student by student.
    ///
    /// The optional topic comes first, so that nobody graduates before the last one.
    pub fn completions(&self) -> impl Iterator<Item = TopicCompleted> + '_ {
        (0..self.students).flat_map(move |student| {
            let optional = (student % OPTIONAL_EVERY == 0).then_some(REQUIRED_TOPICS);
            let topics = optional.into_iter().chain(0..REQUIRED_TOPICS);
            topics.map(move |topic| self.completion(student, topic))
        })
    }

    /// Writes [`School::completions`] as lines that `stentor publish --file` reads.
    ///
    /// # Errors
    ///
    /// Fails if `out` does.
    pub fn write_completions(&self, out: &mut impl Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line {
            #[serde(rename = "type")]
            event_type: &'static str,
            payload: TopicCompleted,
        }
        for payload in self.completions() {
            let event_type = TopicCompleted::TYPE;
            serde_json::to_writer(&mut *out, &Line { event_type, payload })?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    fn completion(&self, student: u32, topic: u32) -> TopicCompleted {
        let user_id = self.student(student);
        let topic_id = self.topic(course_of(student), topic);
        TopicCompleted { user_id, topic_id, score: score(user_id, topic_id) }
    }

    fn student(&self, student: u32) -> Uuid {
        self.id("student", student)
    }

    fn topic(&self, course: u32, topic: u32) -> Uuid {
        self.id("topic", course * (REQUIRED_TOPICS + 1) + topic)
    }

    /// Derives an id from the seed, what it is for, and a number.
    fn id(&self, kind: &str, number: u32) -> Uuid {
        let name = format!("stentor/school/{}/{kind}/{number}", self.seed);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    }
}

/// Returns the number of the course that a student attends.
fn course_of(student: u32) -> u32 {
    student % COURSES
}

/// Returns a passing score with one decimal, 60 to 100, derived from who and what.
fn score(user: Uuid, topic: Uuid) -> f64 {
    let [low, high, ..] = *Uuid::new_v5(&user, topic.as_bytes()).as_bytes();
    f64::from(600 + u16::from_le_bytes([low, high]) % 401) / 10.0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::School;

    fn file(students: u32, seed: u64) -> Vec<u8> {
        let mut file = Vec::new();
        School::new(students, seed).write_completions(&mut file).expect("memory does not fail");
        file
    }

    #[test]
    fn the_same_seed_makes_the_same_file_and_another_seed_another() {
        assert_eq!(file(30, 7), file(30, 7));
        assert_ne!(file(30, 7), file(30, 8));
    }

    #[test]
    fn a_line_of_the_file_never_changes() {
        let file = String::from_utf8(file(1, 1)).expect("JSON is UTF-8");
        insta::assert_snapshot!(file.lines().next().expect("a student completes topics"));
    }

    #[test]
    fn every_student_completes_every_required_topic_once_with_a_passing_score() {
        let school = School::new(30, 1);
        let completions: Vec<_> = school.completions().collect();
        let distinct: HashSet<_> = completions.iter().map(|done| (done.user_id, done.topic_id)).collect();
        assert_eq!(distinct.len(), completions.len());
        assert_eq!(completions.len(), 30 * 5 + 10);
        assert!(completions.iter().all(|done| (60.0..=100.0).contains(&done.score)));
    }
}
