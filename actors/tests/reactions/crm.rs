//! Leads enter the pipeline once, and whoever follows them up is told.

use stentor::args;
use stentor_actors::events::{CrossPollinationOpportunity, Example};
use stentor_actors::school::{ADMINS, School};
use uuid::Uuid;

use crate::world::{Database, World, on_both_databases, with_crashes};

on_both_databases![
    a_lead_enters_the_pipeline_and_its_sales_rep_is_told,
    a_lead_delivered_again_is_entered_once,
    the_same_lead_found_again_is_another_row,
    a_lead_without_a_rep_of_its_own_goes_to_the_default_rep,
    without_any_rep_every_admin_is_told,
    what_is_no_lead_is_parked_and_says_so,
    a_lead_of_nobody_is_parked_and_says_so,
];

with_crashes![a_lead_enters_the_pipeline_and_its_sales_rep_is_told,];

const REP: &str = "INSERT INTO sales_reps (lead_type, user_id) VALUES ($1, $2)";
const TOLD: &str = "SELECT user_id, message, type FROM notifications
    WHERE title = 'New Lead Detected' ORDER BY user_id";

fn lead(world: &World, lead_type: &str) -> CrossPollinationOpportunity {
    CrossPollinationOpportunity {
        user_id: world.student(0),
        lead_type: lead_type.to_owned(),
        ..CrossPollinationOpportunity::example()
    }
}

async fn a_lead_enters_the_pipeline_and_its_sales_rep_is_told(database: Database) {
    const ROW: &str =
        "SELECT o.type, o.source, o.status, o.confidence, o.event_id, p.full_name FROM opportunity_pipeline o
        JOIN user_profiles p ON p.id = o.user_id WHERE o.user_id = $1";
    let world = World::start(database, School::new(3, 1)).await;
    world.write(REP, args!["training", world.student(1)]).await;
    world.write(REP, args!["default", world.student(2)]).await;
    let event = world.happens(lead(&world, "training")).await;
    let rows = world.rows(ROW, args![world.student(0)]).await;
    assert_eq!(rows.len(), 1);
    let texts = ["type", "source", "status"].map(|column| rows[0].get::<String>(column).unwrap());
    assert_eq!(texts, ["training", "ai_conversation", "new"]);
    assert!((rows[0].get::<f64>("confidence").unwrap() - 0.85).abs() < f64::EPSILON);
    assert_eq!(rows[0].get::<Uuid>("event_id").unwrap(), event);
    let name: String = rows[0].get("full_name").unwrap();
    let told = world.rows(TOLD, args![]).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].get::<Uuid>("user_id").unwrap(), world.student(1));
    assert_eq!(
        told[0].get::<String>("message").unwrap(),
        format!("AI detected training opportunity from {name}")
    );
    assert_eq!(told[0].get::<String>("type").unwrap(), "success");
    world.stop().await;
}

async fn a_lead_delivered_again_is_entered_once(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let event = world.happens(lead(&world, "recruiting")).await;
    world.nothing_changes_again(event, "crm").await;
    world.stop().await;
}

async fn the_same_lead_found_again_is_another_row(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    world.all_happen([lead(&world, "recruiting"), lead(&world, "recruiting")]).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM opportunity_pipeline", args![]).await, 2);
    world.stop().await;
}

async fn a_lead_without_a_rep_of_its_own_goes_to_the_default_rep(database: Database) {
    let world = World::start(database, School::new(3, 1)).await;
    world.write(REP, args!["training", world.student(1)]).await;
    world.write(REP, args!["default", world.student(2)]).await;
    world.happens(lead(&world, "catering")).await;
    let told = world.rows(TOLD, args![]).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].get::<Uuid>("user_id").unwrap(), world.student(2));
    world.stop().await;
}

async fn without_any_rep_every_admin_is_told(database: Database) {
    const ADMINS_TOLD: &str = "SELECT COUNT(*) AS n FROM notifications n
        JOIN user_roles u ON u.user_id = n.user_id JOIN roles r ON r.id = u.role_id
        WHERE r.name = 'admin' AND n.title = 'New Lead Detected'";
    let world = World::start(database, School::new(2, 1)).await;
    world.write(REP, args!["training", world.student(1)]).await;
    world.happens(lead(&world, "recruiting")).await;
    assert_eq!(world.number(ADMINS_TOLD, args![]).await, i64::from(ADMINS));
    assert_eq!(world.rows(TOLD, args![]).await.len(), ADMINS as usize);
    world.stop().await;
}

async fn what_is_no_lead_is_parked_and_says_so(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let sure = |confidence| CrossPollinationOpportunity { confidence, ..lead(&world, "bench") };
    let long = "x".repeat(65);
    for (wrong, problem) in [
        (sure(1.01), "confidence is 1.01, allowed are 0 to 1"),
        (sure(-0.5), "confidence is -0.5, allowed are 0 to 1"),
        (lead(&world, ""), "leadType has 0 characters, allowed are 1 to 64"),
        (lead(&world, &long), "leadType has 65 characters, allowed are 1 to 64"),
        (
            CrossPollinationOpportunity { source: long.clone(), ..lead(&world, "bench") },
            "source has 65 characters, allowed are 1 to 64",
        ),
    ] {
        let errors = world.is_parked(wrong, "crm").await;
        assert!(errors.contains(problem), "{errors}");
    }
    world.all_happen([sure(0.0), sure(1.0), lead(&world, &"é".repeat(64))]).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM opportunity_pipeline", args![]).await, 3);
    world.stop().await;
}

async fn a_lead_of_nobody_is_parked_and_says_so(database: Database) {
    let world = World::start(database, School::new(1, 1)).await;
    let nobody = Uuid::now_v7();
    let lead = CrossPollinationOpportunity { user_id: nobody, ..lead(&world, "bench") };
    let errors = world.is_parked(lead, "crm").await;
    assert!(errors.contains(&format!("user {nobody} does not exist")), "{errors}");
    world.stop().await;
}
