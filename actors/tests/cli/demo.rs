//! `demo` on a database of the user's own.

use std::fs;

use crate::binary::Cli;
use crate::world::{Database, on_both_databases};

on_both_databases! {
    where_work_waits_the_demo_is_refused_and_leaves_it,
    a_module_that_is_switched_off_stays_off,
}

async fn where_work_waits_the_demo_is_refused_and_leaves_it(database: Database) {
    let cli = Cli::migrated(database);
    let url = cli.database.url.clone();
    let demo = ["demo", "--graduates", "1", "--database", &url];
    let waiting = cli.publish();
    cli.fails(&demo, 2, &["timesheet.submitted", &waiting, "serve", "another database"]);
    assert_eq!(cli.stored().len(), 1);
    assert!(cli.stored()[0]["processed_at"].is_null(), "the demo did not work it off");
}

async fn a_module_that_is_switched_off_stays_off(database: Database) {
    let cli = Cli::new(database);
    cli.file("off.toml", "[companions]\nenabled = false\n[ai]\nenabled = false\n");
    let url = cli.database.url.clone();
    let demo = ["--config", "off.toml", "demo", "--graduates", "1", "--database", &url];
    let report = cli.json(&demo);
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| !check["name"].as_str().unwrap().contains("résumé")), "{report}");
    assert!(!cli.path().join("documents").exists());
    cli.file("stentor.toml", "[companions]\nfolder = 'papers'\n");
    cli.succeeds(&["demo", "--graduates", "1", "--database", &url]);
    assert_eq!(fs::read_dir(cli.path().join("papers")).unwrap().count(), 1);
    // From now on its deliveries would wait for it.
    cli.fails(&demo, 2, &["switched off", "modules remove", "another database"]);
}
