//! What a placement needs: a client's job, a recruiter, and the row of the placement itself.

use stentor::args;
use stentor_actors::events::CandidatePlaced;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::World;

/// A client's job, in a department of its own.
pub(crate) struct Job {
    pub(crate) id: Uuid,
    #[cfg_attr(not(feature = "hr"), allow(dead_code, reason = "nobody else asks"))]
    pub(crate) department_id: Uuid,
}

/// Makes a job.
pub(crate) async fn job(world: &World, title: &str) -> Job {
    let [id, client_id, department_id] = [(); 3].map(|()| Uuid::now_v7());
    world.write("INSERT INTO clients (id, name) VALUES ($1, 'Client')", args![client_id]).await;
    world.write("INSERT INTO departments (id, name) VALUES ($1, 'Department')", args![department_id]).await;
    let job = args![id, client_id, department_id, title];
    world.write("INSERT INTO jobs (id, client_id, department_id, title) VALUES ($1, $2, $3, $4)", job).await;
    Job { id, department_id }
}

/// Returns a recruiter, by number.
pub(crate) async fn recruiter(world: &World, number: usize) -> Uuid {
    const RECRUITERS: &str = "SELECT user_id FROM user_roles
        WHERE role_id = (SELECT id FROM roles WHERE name = 'recruiter') ORDER BY user_id";
    world.rows(RECRUITERS, args![]).await[number].get("user_id").unwrap()
}

/// Places a candidate with a salary of 85,000 as of now, and returns what tells of it.
pub(crate) async fn place(
    world: &World,
    candidate_id: Uuid,
    job: &Job,
    recruiter: Uuid,
    start_date: OffsetDateTime,
) -> CandidatePlaced {
    const PLACE: &str =
        "INSERT INTO placements (id, candidate_id, job_id, recruiter_id, salary, start_date, created_at)
        VALUES ($1, $2, $3, $4, 85000, $5, $6)";
    let now = OffsetDateTime::now_utc();
    world.write(PLACE, args![Uuid::now_v7(), candidate_id, job.id, recruiter, start_date, now]).await;
    CandidatePlaced { candidate_id, job_id: job.id, salary: 85_000 }
}
