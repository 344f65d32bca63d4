//! Human resources hires whoever is placed, and keeps the records of employees.

use stentor::{BusBuilder, ModuleOptions, args};
use stentor_actors::events::{
    CandidatePlaced, EmployeeHired, ExpenseApproved, LeaveApproved, TimesheetSubmitted,
};
use stentor_actors::hr::{ANNUAL_LEAVE_DAYS, Hr, REIMBURSED_WITHIN, WEEK_HOURS};
use stentor_actors::school::School;
use time::macros::{date, datetime};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::placing::{Job, job, place, recruiter};
use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    whoever_is_placed_becomes_an_employee_with_leave_and_a_checklist,
    without_a_row_of_the_placement_the_first_day_is_day_14,
    a_placement_delivered_again_hires_nobody_again,
    a_later_placement_changes_the_position_and_an_older_one_never_does,
    two_placements_at_once_hire_once,
    a_placement_that_names_nobody_or_no_job_is_parked_and_says_so,
    whoever_is_hired_beyond_the_calendar_is_parked,
    hours_are_recorded_once_and_overtime_is_flagged,
    hours_that_no_week_has_are_parked,
    a_leave_is_taken_off_the_balance_once,
    too_little_leave_is_parked_with_the_figures_and_changes_nothing,
    leaves_at_once_never_overdraw_the_balance,
    a_leave_of_no_half_days_or_without_a_balance_is_parked,
    an_expense_is_owed_once,
    an_expense_of_nothing_is_parked,
];

with_crashes![
    whoever_is_placed_becomes_an_employee_with_leave_and_a_checklist,
    hours_are_recorded_once_and_overtime_is_flagged,
    a_leave_is_taken_off_the_balance_once,
    an_expense_is_owed_once,
];

const START: OffsetDateTime = datetime!(2030-03-01 23:30 UTC);

/// Human resources alone, with more workers than it asks for, so that they meet.
fn hr(builder: BusBuilder) -> BusBuilder {
    builder
        .catalogue(&stentor_actors::catalogue())
        .migrations(&stentor_actors::MIGRATIONS)
        .module_with(ModuleOptions::default().workers(4), || Hr)
}

async fn start(database: Database) -> World {
    World::start_with(database, School::new(3, 1), hr).await
}

async fn placed(world: &World, job: &Job) -> CandidatePlaced {
    place(world, world.student(0), job, recruiter(world, 0).await, START).await
}

/// Returns hire date, job title and department of the first student.
async fn employee(world: &World) -> (Option<OffsetDateTime>, Option<String>, Option<Uuid>) {
    const EMPLOYEE: &str = "SELECT employee_hire_date, employee_job_title, employee_department_id
        FROM user_profiles WHERE id = $1";
    let row = &world.rows(EMPLOYEE, args![world.student(0)]).await[0];
    (
        row.get("employee_hire_date").unwrap(),
        row.get("employee_job_title").unwrap(),
        row.get("employee_department_id").unwrap(),
    )
}

async fn annual_leave(world: &World) -> f64 {
    const LEFT: &str = "SELECT days FROM leave_balances WHERE user_id = $1 AND kind = 'annual'";
    world.rows(LEFT, args![world.student(0)]).await[0].get("days").unwrap()
}

async fn whoever_is_placed_becomes_an_employee_with_leave_and_a_checklist(database: Database) {
    const ROLE: &str = "SELECT COUNT(*) AS n FROM user_roles u JOIN roles r ON r.id = u.role_id
        WHERE u.user_id = $1 AND r.name = 'employee'";
    const BALANCES: &str = "SELECT kind, days FROM leave_balances WHERE user_id = $1 ORDER BY kind";
    const TASKS: &str =
        "SELECT task, due_at, done_at FROM onboarding_tasks WHERE user_id = $1 ORDER BY due_at";
    let world = World::start(database, School::new(1, 1)).await;
    let (student, job) = (world.student(0), job(&world, "Data Engineer").await);
    let cause = world.happens(placed(&world, &job).await).await;
    assert_eq!(
        employee(&world).await,
        (Some(START), Some("Data Engineer".to_owned()), Some(job.department_id))
    );
    assert_eq!(world.number(ROLE, args![student]).await, 1);
    let balances = world.rows(BALANCES, args![student]).await;
    let balances: Vec<(String, f64)> =
        balances.iter().map(|row| (row.get("kind").unwrap(), row.get("days").unwrap())).collect();
    assert_eq!(balances, [("annual".to_owned(), 25.0), ("sick".to_owned(), 10.0)]);
    let hired = world.events("employee.hired").await;
    assert_eq!(hired.len(), 1);
    assert_eq!(hired[0].causation_id, Some(cause));
    let hired: EmployeeHired = serde_json::from_value(hired[0].payload.clone()).unwrap();
    let expected = EmployeeHired {
        user_id: student,
        department_id: job.department_id,
        start_date: date!(2030 - 03 - 01),
    };
    assert_eq!(hired, expected);
    let tasks = world.rows(TASKS, args![student]).await;
    assert_eq!(tasks.len(), 5);
    assert_eq!(tasks[0].get::<String>("task").unwrap(), "Sign the contract");
    assert_eq!(tasks[0].get::<OffsetDateTime>("due_at").unwrap(), datetime!(2030-02-22 00:00 UTC));
    assert_eq!(tasks[4].get::<OffsetDateTime>("due_at").unwrap(), datetime!(2030-03-31 00:00 UTC));
    assert!(tasks.iter().all(|task| task.get::<Option<OffsetDateTime>>("done_at").unwrap().is_none()));
    world.stop().await;
}

async fn without_a_row_of_the_placement_the_first_day_is_day_14(database: Database) {
    let world = start(database).await;
    let job = job(&world, "Data Engineer").await;
    let placed = CandidatePlaced { candidate_id: world.student(0), job_id: job.id, salary: 85_000 };
    let event = world.happens(placed).await;
    let at = world.bus.client().event(event).await.unwrap().unwrap().event.created_at;
    let day_14 = at + Duration::days(14);
    assert_eq!(employee(&world).await.0, Some(day_14));
    assert_eq!(world.events("employee.hired").await[0].payload["startDate"], day_14.date().to_string());
    world.stop().await;
}

async fn a_placement_delivered_again_hires_nobody_again(database: Database) {
    let world = start(database).await;
    let job = job(&world, "Data Engineer").await;
    let placed = placed(&world, &job).await;
    let event = world.happens(placed.clone()).await;
    world.nothing_changes_again(event, "hr").await;
    world.nothing_changes_again(world.events("employee.hired").await[0].id, "hr").await;
    // The same placement as an event of its own.
    let employed = employee(&world).await;
    world.happens(placed).await;
    assert_eq!(employee(&world).await, employed);
    assert_eq!(world.events("employee.hired").await.len(), 1);
    world.stop().await;
}

async fn a_later_placement_changes_the_position_and_an_older_one_never_does(database: Database) {
    let world = start(database).await;
    let (first, second) = (job(&world, "Data Engineer").await, job(&world, "Architect").await);
    let older = world.happens(placed(&world, &first).await).await;
    world.happens(placed(&world, &second).await).await;
    let architect = (Some(START), Some("Architect".to_owned()), Some(second.department_id));
    assert_eq!(employee(&world).await, architect);
    assert_eq!(world.events("employee.hired").await.len(), 1);
    world.nothing_changes_again(older, "hr").await;
    assert_eq!(employee(&world).await, architect);
    world.stop().await;
}

async fn two_placements_at_once_hire_once(database: Database) {
    let world = start(database).await;
    let (first, second) = (job(&world, "Data Engineer").await, job(&world, "Architect").await);
    let both = [placed(&world, &first).await, placed(&world, &second).await];
    world.all_happen(both).await;
    assert_eq!(employee(&world).await.1.as_deref(), Some("Architect"), "the later placement counts");
    assert_eq!(world.events("employee.hired").await.len(), 1);
    world.stop().await;
}

async fn a_placement_that_names_nobody_or_no_job_is_parked_and_says_so(database: Database) {
    let world = start(database).await;
    let (job, nobody, no_job) = (job(&world, "Data Engineer").await, Uuid::now_v7(), Uuid::now_v7());
    let known = CandidatePlaced { candidate_id: world.student(0), job_id: job.id, salary: 85_000 };
    let said = world.is_parked(CandidatePlaced { job_id: no_job, ..known.clone() }, "hr").await;
    assert!(said.contains(&format!("job {no_job} does not exist")), "{said}");
    let said = world.is_parked(CandidatePlaced { candidate_id: nobody, ..known }, "hr").await;
    assert!(said.contains(&format!("candidate {nobody} does not exist")), "{said}");
    assert!(world.events("employee.hired").await.is_empty());
    world.stop().await;
}

async fn whoever_is_hired_beyond_the_calendar_is_parked(database: Database) {
    let world = start(database).await;
    let never = EmployeeHired {
        user_id: world.student(0),
        department_id: Uuid::now_v7(),
        start_date: date!(9999 - 12 - 31),
    };
    let said = world.is_parked(never, "hr").await;
    assert!(said.contains("the first working day 9999-12-31 is beyond the calendar"), "{said}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM onboarding_tasks", args![]).await, 0);
    world.stop().await;
}

fn timesheet(world: &World, hours: f64) -> TimesheetSubmitted {
    TimesheetSubmitted { timesheet_id: Uuid::now_v7(), user_id: world.student(0), hours }
}

async fn hours_are_recorded_once_and_overtime_is_flagged(database: Database) {
    const HOURS: &str = "SELECT hours, overtime FROM timesheets WHERE user_id = $1 ORDER BY hours";
    let world = start(database).await;
    world.happens(timesheet(&world, WEEK_HOURS)).await;
    let longer = timesheet(&world, WEEK_HOURS + 0.5);
    let event = world.happens(longer.clone()).await;
    world.nothing_changes_again(event, "hr").await;
    // The same timesheet as an event of its own: the first hours stand.
    world.happens(TimesheetSubmitted { hours: 50.0, ..longer }).await;
    let rows = world.rows(HOURS, args![world.student(0)]).await;
    let rows: Vec<(f64, bool)> =
        rows.iter().map(|row| (row.get("hours").unwrap(), row.get("overtime").unwrap())).collect();
    assert_eq!(rows, [(40.0, false), (40.5, true)]);
    world.stop().await;
}

async fn hours_that_no_week_has_are_parked(database: Database) {
    let world = start(database).await;
    for hours in [-1.0, 168.5] {
        let said = world.is_parked(timesheet(&world, hours), "hr").await;
        assert!(said.contains(&format!("is of {hours} hours, allowed are 0 to 168")), "{said}");
    }
    let nobody = TimesheetSubmitted { user_id: Uuid::now_v7(), ..timesheet(&world, 8.0) };
    let said = world.is_parked(nobody.clone(), "hr").await;
    assert!(said.contains(&format!("user {} does not exist", nobody.user_id)), "{said}");
    world.stop().await;
}

fn leave(world: &World, days: f64) -> LeaveApproved {
    LeaveApproved { leave_id: Uuid::now_v7(), user_id: world.student(0), days }
}

async fn employed(database: Database) -> World {
    let world = start(database).await;
    let job = job(&world, "Data Engineer").await;
    world.happens(placed(&world, &job).await).await;
    world
}

async fn a_leave_is_taken_off_the_balance_once(database: Database) {
    let world = employed(database).await;
    let taken = leave(&world, 2.5);
    let event = world.happens(taken.clone()).await;
    assert_eq!(annual_leave(&world).await.to_string(), "22.5");
    world.nothing_changes_again(event, "hr").await;
    // The same leave as an event of its own.
    world.happens(LeaveApproved { days: 5.0, ..taken }).await;
    assert_eq!(annual_leave(&world).await.to_string(), "22.5");
    world.stop().await;
}

async fn too_little_leave_is_parked_with_the_figures_and_changes_nothing(database: Database) {
    let world = employed(database).await;
    world.happens(leave(&world, 24.0)).await;
    let tally = world.tally().await;
    let too_long = leave(&world, 1.5);
    let said = world.is_parked(too_long.clone(), "hr").await;
    let figures = format!(
        "leave {} takes 1.5 days, but user {} has only 1 days of annual leave left",
        too_long.leave_id, too_long.user_id
    );
    assert!(said.contains(&figures), "{said}");
    assert_eq!(annual_leave(&world).await.to_string(), "1");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM leaves", args![]).await, 1);
    // Nothing but the events has grown.
    let now = world.tally().await;
    let changed: Vec<_> = now.symmetric_difference(&tally).collect();
    assert!(changed.iter().all(|line| line.starts_with("system_events")), "{changed:#?}");
    // The balance is raised, as the message says, and the leave is taken after all.
    world.write("UPDATE leave_balances SET days = 3 WHERE kind = 'annual'", args![]).await;
    world.happens(too_long).await;
    assert_eq!(annual_leave(&world).await.to_string(), "1.5");
    world.stop().await;
}

async fn leaves_at_once_never_overdraw_the_balance(database: Database) {
    let world = employed(database).await;
    let leaves: Vec<LeaveApproved> = (0..30).map(|_| leave(&world, 1.0)).collect();
    world.all_happen(leaves).await;
    assert_eq!(annual_leave(&world).await.to_string(), "0");
    let taken = world.number("SELECT COUNT(*) AS n FROM leaves", args![]).await;
    assert_eq!(taken.to_string(), ANNUAL_LEAVE_DAYS.to_string());
    world.stop().await;
}

async fn a_leave_of_no_half_days_or_without_a_balance_is_parked(database: Database) {
    let world = employed(database).await;
    for days in [0.0, -1.0, 0.3] {
        let said = world.is_parked(leave(&world, days), "hr").await;
        assert!(said.contains(&format!("is of {days} days, allowed are whole and half days")), "{said}");
    }
    assert_eq!(annual_leave(&world).await.to_string(), "25");
    let nobody = LeaveApproved { user_id: world.student(1), ..leave(&world, 1.0) };
    let said = world.is_parked(nobody, "hr").await;
    assert!(said.contains(&format!("user {} has no balance of annual leave", world.student(1))), "{said}");
    world.stop().await;
}

fn expense(world: &World, amount: i64) -> ExpenseApproved {
    ExpenseApproved { expense_id: Uuid::now_v7(), user_id: world.student(0), amount }
}

async fn an_expense_is_owed_once(database: Database) {
    const OWED: &str = "SELECT amount, approved_at, due_at, paid_at FROM reimbursements WHERE user_id = $1";
    let world = start(database).await;
    let approved = expense(&world, 120);
    let event = world.happens(approved.clone()).await;
    world.nothing_changes_again(event, "hr").await;
    // The same expense as an event of its own: the first amount stands.
    world.happens(ExpenseApproved { amount: 300, ..approved }).await;
    let rows = world.rows(OWED, args![world.student(0)]).await;
    assert_eq!(rows.len(), 1);
    let time = |column| rows[0].get::<Option<OffsetDateTime>>(column).unwrap();
    assert_eq!(rows[0].get::<i64>("amount").unwrap(), 120);
    assert_eq!(time("due_at"), time("approved_at").map(|at| at + REIMBURSED_WITHIN));
    assert_eq!(time("paid_at"), None);
    world.stop().await;
}

async fn an_expense_of_nothing_is_parked(database: Database) {
    let world = start(database).await;
    let said = world.is_parked(expense(&world, 0), "hr").await;
    assert!(said.contains("is of 0, allowed are amounts from 1 on"), "{said}");
    let nobody = ExpenseApproved { user_id: Uuid::now_v7(), ..expense(&world, 5) };
    let said = world.is_parked(nobody.clone(), "hr").await;
    assert!(said.contains(&format!("user {} does not exist", nobody.user_id)), "{said}");
    world.stop().await;
}
