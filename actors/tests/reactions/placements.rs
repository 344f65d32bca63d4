//! Placements: a candidate leaves the bench for a client, whatever is handled first.

use stentor::{BusBuilder, ModuleOptions, args};
use stentor_actors::ats::{Ats, Placement, RecordPlacementError, record_placement, submit_application};
use stentor_actors::events::{CandidatePlaced, CourseGraduated};
use stentor_actors::people::NOTICE;
use stentor_actors::school::School;
use stentor_actors::trikala::Trikala;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::placing::{job, recruiter};
use crate::world::{Database, World, on_both_databases, with_crashes};

mod orders;

on_both_databases![
    whoever_is_placed_leaves_the_bench_for_the_client_and_other_applications_close,
    a_placement_delivered_again_changes_nothing,
    a_placement_that_makes_no_sense_is_refused_and_leaves_nothing,
    a_placement_recorded_many_times_at_once_is_recorded_once,
    a_placement_without_an_application_completes_no_workflow,
    a_placement_that_names_nobody_or_no_job_is_parked,
    without_a_row_of_the_placement_the_assignment_begins_on_day_14,
];

with_crashes![whoever_is_placed_leaves_the_bench_for_the_client_and_other_applications_close,];

/// Applicant tracking and Trikala, with several workers each, so that they meet.
fn both(builder: BusBuilder) -> BusBuilder {
    let many = || ModuleOptions::default().workers(4);
    builder
        .catalogue(&stentor_actors::catalogue())
        .migrations(&stentor_actors::MIGRATIONS)
        .module_with(many(), || Ats)
        .module_with(many(), || Trikala)
}

async fn placement(world: &World, student: usize, job: Uuid) -> Placement {
    let recruiter = recruiter(world, 0).await;
    Placement { candidate: world.student(student), job, salary: 85_000, recruiter }
}

fn placed(world: &World, student: usize, job_id: Uuid) -> CandidatePlaced {
    CandidatePlaced { candidate_id: world.student(student), job_id, salary: 85_000 }
}

fn graduation(world: &World, student: usize) -> CourseGraduated {
    CourseGraduated {
        user_id: world.student(student),
        course_id: world.school.course_id(0),
        final_score: 90.0,
    }
}

async fn apply(world: &World, student: usize, job: Uuid) -> Uuid {
    let id = submit_application(&world.bus, world.student(student), job).await.unwrap();
    world.settled(id).await;
    id
}

/// Returns the status of an application and of its workflow.
async fn outcome(world: &World, candidate: Uuid, job: Uuid) -> (String, String) {
    const OUTCOME: &str = "SELECT a.status, w.status AS workflow
        FROM applications a JOIN workflow_instances w ON w.application_id = a.id
        WHERE a.candidate_id = $1 AND a.job_id = $2";
    let rows = world.rows(OUTCOME, args![candidate, job]).await;
    assert_eq!(rows.len(), 1);
    (rows[0].get("status").unwrap(), rows[0].get("workflow").unwrap())
}

async fn status(world: &World, candidate: Uuid) -> Option<String> {
    let profile = "SELECT candidate_status FROM user_profiles WHERE id = $1";
    world.rows(profile, args![candidate]).await[0].get("candidate_status").unwrap()
}

fn are(outcome: &(String, String), expected: (&str, &str)) {
    assert_eq!((outcome.0.as_str(), outcome.1.as_str()), expected);
}

async fn whoever_is_placed_leaves_the_bench_for_the_client_and_other_applications_close(database: Database) {
    const ASSIGNMENT: &str = "SELECT c.client_id = j.client_id AS theirs, c.start_date, p.created_at
        FROM consultant_assignments c JOIN jobs j ON j.id = c.job_id
        JOIN placements p ON p.candidate_id = c.consultant_id AND p.job_id = c.job_id
        WHERE p.id = $1 AND p.salary = 85000 AND p.start_date = c.start_date AND p.recruiter_id = $2";
    // With all modules: nothing that the others do may stand in the way.
    let world = World::start(database, School::new(2, 1)).await;
    world.all_happen([graduation(&world, 0), graduation(&world, 1)]).await;
    let (engineer, analyst) = (job(&world, "Engineer").await.id, job(&world, "Analyst").await.id);
    let [candidate, rival] = [0, 1].map(|student| world.student(student));
    apply(&world, 0, engineer).await;
    apply(&world, 0, analyst).await;
    apply(&world, 1, engineer).await;
    let placement = placement(&world, 0, engineer).await;
    let id = record_placement(&world.bus, &placement).await.unwrap();
    world.settled(id).await;
    assert_eq!(status(&world, candidate).await.as_deref(), Some("placed"));
    are(&outcome(&world, candidate, engineer).await, ("placed", "completed"));
    are(&outcome(&world, candidate, analyst).await, ("closed", "cancelled"));
    are(&outcome(&world, rival, engineer).await, ("open", "active"));
    assert_eq!(status(&world, rival).await.as_deref(), Some("bench"));
    let assignment = &world.rows(ASSIGNMENT, args![id, placement.recruiter]).await[0];
    assert!(assignment.get::<bool>("theirs").unwrap());
    let (first_day, placed_at): (OffsetDateTime, OffsetDateTime) =
        (assignment.get("start_date").unwrap(), assignment.get("created_at").unwrap());
    assert_eq!(first_day - placed_at, NOTICE);
    let (causes, ends) = (world.events("candidate.placed").await, world.events("workflow.completed").await);
    let [(cause, completed)] = causes.iter().zip(&ends).collect::<Vec<_>>()[..] else { panic!("{ends:?}") };
    assert_eq!(
        (cause.created_by, cause.payload["salary"].as_i64()),
        (Some(placement.recruiter), Some(85_000))
    );
    assert_eq!(completed.payload["userId"], candidate.to_string());
    assert_eq!(completed.causation_id, Some(cause.id));
    // The consultant stays in the pod.
    let member = "SELECT COUNT(*) AS n FROM pod_members WHERE user_id = $1";
    assert_eq!(world.number(member, args![candidate]).await, 1);
    assert_eq!(world.events("system.error").await.len(), 0);
    world.stop().await;
}

async fn a_placement_delivered_again_changes_nothing(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    world.happens(graduation(&world, 0)).await;
    let engineer = job(&world, "Engineer").await.id;
    apply(&world, 0, engineer).await;
    apply(&world, 0, job(&world, "Analyst").await.id).await;
    let id = record_placement(&world.bus, &placement(&world, 0, engineer).await).await.unwrap();
    world.settled(id).await;
    let event = world.events("candidate.placed").await[0].id;
    for module in ["ats", "trikala"] {
        world.nothing_changes_again(event, module).await;
    }
    world.stop().await;
}

async fn a_placement_that_makes_no_sense_is_refused_and_leaves_nothing(database: Database) {
    use RecordPlacementError::{Candidate, Job, Recruiter, Salary};
    let world = World::start_with(database, School::new(1, 1), both).await;
    let known = placement(&world, 0, job(&world, "Engineer").await.id).await;
    let nobody = Uuid::now_v7();
    let refusal = |placement: Placement| {
        let bus = world.bus.clone();
        async move { record_placement(&bus, &placement).await.unwrap_err() }
    };
    for salary in [0, -85_000] {
        let refused = refusal(Placement { salary, ..known }).await;
        assert!(matches!(refused, Salary(wrong) if wrong == salary), "{refused}");
    }
    let refused = refusal(Placement { candidate: nobody, ..known }).await;
    assert!(matches!(refused, Candidate(id) if id == nobody), "{refused}");
    let refused = refusal(Placement { job: nobody, ..known }).await;
    assert!(matches!(refused, Job(id) if id == nobody), "{refused}");
    // Students are users, but no recruiters.
    for user in [nobody, known.candidate] {
        let refused = refusal(Placement { recruiter: user, ..known }).await;
        assert!(matches!(refused, Recruiter(id) if id == user), "{refused}");
    }
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM placements", args![]).await, 0);
    assert_eq!(world.events("candidate.placed").await.len(), 0);
    world.stop().await;
}

async fn a_placement_recorded_many_times_at_once_is_recorded_once(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let placement = placement(&world, 0, job(&world, "Engineer").await.id).await;
    let mut recording = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let bus = world.bus.clone();
        recording.spawn(async move { record_placement(&bus, &placement).await });
    }
    let (recorded, refused): (Vec<_>, Vec<_>) =
        recording.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(recorded.len(), 1);
    for refusal in refused {
        let Err(RecordPlacementError::AlreadyPlaced { candidate, job }) = refusal else {
            panic!("{refusal:?}")
        };
        assert_eq!((candidate, job), (placement.candidate, placement.job));
    }
    world.settled(*recorded[0].as_ref().unwrap()).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM placements", args![]).await, 1);
    assert_eq!(world.events("candidate.placed").await.len(), 1);
    world.stop().await;
}

async fn a_placement_without_an_application_completes_no_workflow(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let placement = placement(&world, 0, job(&world, "Engineer").await.id).await;
    world.settled(record_placement(&world.bus, &placement).await.unwrap()).await;
    assert_eq!(status(&world, placement.candidate).await.as_deref(), Some("placed"));
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM consultant_assignments", args![]).await, 1);
    assert_eq!(world.events("workflow.completed").await.len(), 0);
    world.stop().await;
}

async fn a_placement_that_names_nobody_or_no_job_is_parked(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let known = placed(&world, 0, job(&world, "Engineer").await.id);
    let nobody = Uuid::now_v7();
    for module in ["ats", "trikala"] {
        let said = world.is_parked(CandidatePlaced { candidate_id: nobody, ..known.clone() }, module).await;
        assert!(said.contains(&format!("user {nobody} does not exist; add what is missing")), "{said}");
        let said = world.is_parked(CandidatePlaced { job_id: nobody, ..known.clone() }, module).await;
        assert!(said.contains(&format!("job {nobody} does not exist; add what is missing")), "{said}");
    }
    assert_eq!(status(&world, known.candidate_id).await, None);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM consultant_assignments", args![]).await, 0);
    world.stop().await;
}

async fn without_a_row_of_the_placement_the_assignment_begins_on_day_14(database: Database) {
    let world = World::start_with(database, School::new(1, 1), both).await;
    let event = world.happens(placed(&world, 0, job(&world, "Engineer").await.id)).await;
    let at = world.bus.client().event(event).await.unwrap().unwrap().event.created_at;
    let rows = world.rows("SELECT start_date FROM consultant_assignments", args![]).await;
    assert_eq!(rows[0].get::<OffsetDateTime>("start_date").unwrap(), at + NOTICE);
    world.stop().await;
}
