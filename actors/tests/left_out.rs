//! What holds of every build, whichever modules it leaves out: those that are left do their work.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use serde_json::{Value, json};
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

/// Returns the event types that miss whoever is meant to react, with the modules `off` switched off.
fn unheard(off: &[&str]) -> Vec<String> {
    let reacts = |module: &&str| !off.contains(module) && MODULES.contains(&(*module, true));
    let unheard =
        SUBSCRIBERS.iter().filter(|(_, modules)| !modules.is_empty() && !modules.iter().any(&reacts));
    unheard.map(|(event_type, _)| (*event_type).to_owned()).collect()
}

/// Runs `doctor` with the modules `off` switched off.
fn doctor(cli: &Cli, off: &[&str], args: &[&str]) -> String {
    let mut command = cli.command(&[&["doctor"], args].concat());
    for module in off {
        command.env(format!("STENTOR_{}__ENABLED", module.to_uppercase()), "false");
    }
    Outcome::of(command.output().unwrap()).out
}

/// Asserts what `doctor` says of the events without a subscriber: in full, for programs and for people.
fn assert_doctor_names_what_is_unheard(cli: &Cli, off: &[&str]) {
    const CHECK: &str = "events without a subscriber";
    let unheard = unheard(off);
    let (state, detail) = match unheard.as_slice() {
        [] => ("ok", "none but what expects none: candidate.created".to_owned()),
        _ => ("warning", unheard.join(", ")),
    };
    let report: Value = serde_json::from_str(&doctor(cli, off, &["-o", "json"])).unwrap();
    let mut checks = report["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == CHECK).unwrap();
    assert_eq!(check, &json!({ "name": CHECK, "state": state, "detail": detail }), "without {off:?}");
    let table = doctor(cli, off, &[]);
    let line = table.lines().find(|line| line.starts_with(CHECK)).unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(CHECK.split(' ').count()).collect();
    assert_eq!(words.join(" "), format!("{state} {detail}"), "without {off:?}");
}

#[test]
fn doctor_names_the_events_that_nobody_hears() {
    let cli = Cli::migrated(Database::sqlite());
    let modules = MODULES.map(|(module, _)| module);
    assert_doctor_names_what_is_unheard(&cli, &[]);
    for module in modules {
        assert_doctor_names_what_is_unheard(&cli, &[module]);
    }
    assert_doctor_names_what_is_unheard(&cli, &modules);
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
