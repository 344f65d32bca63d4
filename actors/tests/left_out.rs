//! What holds of every build, whichever modules it leaves out: those that are left do their work.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::collections::BTreeSet;

use serde_json::Value;
use stentor_actors::MODULES;
use stentor_actors::demo::{DemoOptions, run};

#[path = "cli/binary.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod binary;
#[path = "reactions/world.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "shared with the tests of the modules")]
mod world;

use binary::{Cli, Outcome};
use world::Database;

/// Who reacts to which event.
const SUBSCRIBERS: [(&str, &[&str]); 22] = [
    ("achievement.earned", &["notifications"]),
    ("application.submitted", &["ats"]),
    ("candidate.created", &[]),
    ("candidate.placed", &["achievements", "ats", "hr", "trikala"]),
    ("conversation.ended", &["ai"]),
    ("course.graduated", &["ats", "companions", "notifications", "trikala"]),
    ("cross_pollination.opportunity", &["crm"]),
    ("email.queued", &["notifications"]),
    ("employee.hired", &["hr", "notifications"]),
    ("expense.approved", &["hr", "notifications"]),
    ("goal.achieved", &["achievements", "notifications"]),
    ("interview.scheduled", &["ats", "notifications"]),
    ("job.posted", &["ats"]),
    ("leave.approved", &["hr", "notifications"]),
    ("notification.send", &["notifications"]),
    ("quiz.passed", &["academy", "achievements"]),
    ("slack.queued", &["notifications"]),
    ("system.error", &["notifications"]),
    ("timesheet.submitted", &["hr"]),
    ("topic.completed", &["academy", "achievements"]),
    ("webhook.queued", &["notifications"]),
    ("workflow.completed", &["trikala"]),
];

/// Returns the event types that nobody reacts to in this build, with the module `off` switched off.
fn unheard(off: Option<&str>) -> BTreeSet<String> {
    let reacts = |module: &&str| Some(*module) != off && MODULES.contains(&(*module, true));
    let unheard = SUBSCRIBERS.iter().filter(|(_, modules)| !modules.iter().any(&reacts));
    unheard.map(|(event_type, _)| (*event_type).to_owned()).collect()
}

/// Returns the event types that `doctor` finds nobody to subscribe to, with the module `off` switched off.
fn unheard_by_doctor(cli: &Cli, off: Option<&str>) -> BTreeSet<String> {
    let mut command = cli.command(&["doctor", "-o", "json"]);
    if let Some(module) = off {
        command.env(format!("STENTOR_{}__ENABLED", module.to_uppercase()), "false");
    }
    let outcome = Outcome::of(command.output().unwrap());
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    let mut checks = report["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "events without a subscriber").unwrap();
    let detail = check["detail"].as_str().unwrap().split(", ").map(str::to_owned);
    detail.filter(|event_type| event_type.contains('.')).collect()
}

#[test]
fn doctor_names_the_events_that_nobody_hears() {
    let cli = Cli::migrated(Database::sqlite());
    assert_eq!(unheard_by_doctor(&cli, None), unheard(None));
    for (module, _) in MODULES {
        assert_eq!(unheard_by_doctor(&cli, Some(module)), unheard(Some(module)), "without {module}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_finds_every_row_that_the_modules_of_the_build_make() {
    let report = run(&DemoOptions { graduates: 12, ..DemoOptions::default() }).await.unwrap();
    assert!(report.passed(), "{:#?}", report.checks);
    let told: Vec<&str> = report.story.deeds.iter().map(|deed| deed.module).collect();
    let built: Vec<&str> =
        MODULES.into_iter().filter_map(|(module, built)| built.then_some(module)).collect();
    assert_eq!(told, built);
}

#[test]
fn one_configuration_serves_every_build() {
    let cli = Cli::new(Database::sqlite());
    let sections: String =
        MODULES.into_iter().flat_map(|(module, _)| ["[", module, "]\nenabled = true\n"]).collect();
    cli.file("stentor.toml", &sections);
    let service = cli.serve();
    assert_eq!(service.stop("TERM").0, Some(0));
}
