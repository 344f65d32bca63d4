//! A job that is posted gets a shortlist of the bench.

use stentor::args;
use stentor_actors::ats::{NewJob, PostJobError, SHORTLIST_MAX, post_job};
use stentor_actors::events::JobPosted;
use stentor_actors::school::School;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::ats;
use crate::placing::job;
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    the_best_of_the_bench_are_listed_best_first,
    a_job_delivered_again_keeps_its_shortlist,
    a_job_that_the_client_does_not_have_is_parked,
    a_job_is_posted_with_its_row_or_not_at_all,
];

with_crashes![a_job_delivered_again_keeps_its_shortlist,];

const MONDAY: OffsetDateTime = datetime!(2025-06-02 08:00 UTC);
const TUESDAY: OffsetDateTime = datetime!(2025-06-03 08:00 UTC);

/// Puts a student on the bench, graduated from a course for each score.
async fn bench(world: &World, student: usize, since: OffsetDateTime, scores: &[f64]) {
    const GRADUATE: &str =
        "INSERT INTO course_progress (user_id, course_id, topics_completed, graduated_at, final_score)
        VALUES ($1, $2, 5, $3, $4)";
    const BENCH: &str =
        "UPDATE user_profiles SET candidate_status = 'bench', candidate_available_from = $2 WHERE id = $1";
    let student = world.student(student);
    for (course, score) in (0..).zip(scores) {
        world.write(GRADUATE, args![student, world.school.course_id(course), since, *score]).await;
    }
    world.write(BENCH, args![student, since]).await;
}

async fn posted(world: &World) -> JobPosted {
    let job_id = job(world, "Engineer").await.id;
    let jobs = world.rows("SELECT client_id FROM jobs WHERE id = $1", args![job_id]).await;
    JobPosted { job_id, client_id: jobs[0].get("client_id").unwrap() }
}

/// Returns who is listed, first to last, by position from 1.
async fn shortlist(world: &World, job: Uuid) -> Vec<Uuid> {
    const LISTED: &str =
        "SELECT candidate_id, position FROM job_shortlists WHERE job_id = $1 ORDER BY position";
    let rows = world.rows(LISTED, args![job]).await;
    for (expected, row) in (1..).zip(&rows) {
        assert_eq!(row.get::<i64>("position").unwrap(), expected);
    }
    rows.iter().map(|row| row.get("candidate_id").unwrap()).collect()
}

async fn the_best_of_the_bench_are_listed_best_first(database: Database) {
    let world = World::start_with(database, School::new(14, 1), ats).await;
    // The mean of two courses, below one good course and above all others.
    bench(&world, 0, MONDAY, &[100.0, 80.0]).await;
    bench(&world, 1, MONDAY, &[95.0]).await;
    // Of two equals, whoever has waited longer.
    bench(&world, 2, TUESDAY, &[85.0]).await;
    bench(&world, 3, MONDAY, &[85.0]).await;
    // More than there is room for, the last without any score.
    for (student, score) in (4..12).zip([70.0, 71.0, 72.0, 73.0, 74.0, 75.0, 76.0, 77.0]) {
        bench(&world, student, MONDAY, &[score]).await;
    }
    bench(&world, 12, MONDAY, &[]).await;
    // The best of all is placed.
    bench(&world, 13, MONDAY, &[100.0]).await;
    let placed = "UPDATE user_profiles SET candidate_status = 'placed' WHERE id = $1";
    world.write(placed, args![world.student(13)]).await;
    let posted = posted(&world).await;
    world.happens(posted.clone()).await;
    let expected = [1, 0, 3, 2, 11, 10, 9, 8, 7, 6].map(|student| world.student(student));
    assert_eq!(expected.len() as i64, SHORTLIST_MAX);
    assert_eq!(shortlist(&world, posted.job_id).await, expected);
    world.stop().await;
}

async fn a_job_delivered_again_keeps_its_shortlist(database: Database) {
    let world = World::start_with(database, School::new(3, 1), ats).await;
    let early = posted(&world).await;
    let on_empty_bench = world.happens(early.clone()).await;
    bench(&world, 0, MONDAY, &[70.0]).await;
    let posted = posted(&world).await;
    let event = world.happens(posted.clone()).await;
    bench(&world, 1, MONDAY, &[90.0]).await;
    let tally = world.tally().await;
    world.happens_again(event, "ats").await;
    world.happens_again(on_empty_bench, "ats").await;
    assert_eq!(world.tally().await, tally);
    assert_eq!(shortlist(&world, posted.job_id).await, [world.student(0)]);
    assert!(shortlist(&world, early.job_id).await.is_empty());
    world.stop().await;
}

async fn a_job_that_the_client_does_not_have_is_parked(database: Database) {
    let world = World::start_with(database, School::new(1, 1), ats).await;
    let posted = posted(&world).await;
    let (nobody, nothing) = (Uuid::now_v7(), Uuid::now_v7());
    for wrong in [JobPosted { client_id: nobody, ..posted }, JobPosted { job_id: nothing, ..posted }] {
        let said = world.is_parked(wrong.clone(), "ats").await;
        let expected = format!("client {} has no job {}", wrong.client_id, wrong.job_id);
        assert!(said.contains(&expected), "{said}");
    }
    world.stop().await;
}

async fn a_job_is_posted_with_its_row_or_not_at_all(database: Database) {
    const JOB: &str = "SELECT client_id, department_id FROM jobs WHERE id = $1";
    let world = World::start_with(database, School::new(1, 1), ats).await;
    bench(&world, 0, MONDAY, &[70.0]).await;
    let known = &world.rows(JOB, args![job(&world, "Engineer").await.id]).await[0];
    let (client, department) = (known.get("client_id").unwrap(), known.get("department_id").unwrap());
    let new = NewJob { client, department, title: "Analyst".to_owned() };
    let nobody = Uuid::now_v7();
    let refused = |job: NewJob| {
        let bus = world.bus.clone();
        async move { post_job(&bus, &job).await.unwrap_err() }
    };
    let without_title = NewJob { title: String::new(), ..new.clone() };
    assert!(matches!(refused(without_title).await, PostJobError::Title));
    let wrong = refused(NewJob { client: nobody, ..new.clone() }).await;
    assert!(matches!(wrong, PostJobError::Client(id) if id == nobody), "{wrong}");
    let wrong = refused(NewJob { department: nobody, ..new.clone() }).await;
    assert!(matches!(wrong, PostJobError::Department(id) if id == nobody), "{wrong}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM jobs", args![]).await, 1);
    assert_eq!(world.events("job.posted").await.len(), 0);
    let job = post_job(&world.bus, &new).await.unwrap();
    world.settled(job).await;
    assert_eq!(world.rows(JOB, args![job]).await[0].get::<Uuid>("client_id").unwrap(), client);
    assert_eq!(shortlist(&world, job).await, [world.student(0)]);
    world.stop().await;
}
