//! Bad input: a clear error, and nothing stored.

use crate::binary::{Cli, Outcome, payload};
use crate::world::{Database, on_both_databases};

on_both_databases! {
    events_that_break_a_rule_are_refused_and_not_stored,
    one_id_cannot_stand_for_two_events,
}

async fn events_that_break_a_rule_are_refused_and_not_stored(database: Database) {
    let cli = Cli::migrated(database);
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    cli.file("large.json", &format!("{{\"text\":{:?}}}", "x".repeat(256 * 1024)));
    std::fs::write(cli.path().join("latin1.json"), b"{\"a\":\"\xe9\"}").unwrap();
    for (event_type, input, words) in [
        ("nothing.known", "{}", ["nothing.known", "catalogue list"]),
        ("graduation", "{}", ["module.action_past_tense", "course.graduated"]),
        ("Course.graduated", "{}", ["module.action_past_tense", "Course.graduated"]),
        ("topic.completed", "{}", ["topic.completed", "userId"]),
        ("topic.completed", "{\"userId\":7}", ["does not fit topic.completed: userId: ", "UUID"]),
        ("topic.completed", "{userId}", ["not JSON", "column"]),
        ("topic.completed", "", ["not JSON", "payload"]),
        ("topic.completed", "@large.json", ["262144", "bytes"]),
        ("topic.completed", "@absent.json", ["absent.json", "cannot be read"]),
        ("topic.completed", "@latin1.json", ["latin1.json", "UTF-8"]),
        ("topic.completed", &nested(65), ["nested", "64"]),
        ("topic.completed", &nested(200), ["not JSON", "recursion limit"]),
        ("topic.completed", "{\"note\":\"a\\u0000b\"}", ["NUL", "payload"]),
    ] {
        cli.fails(&["publish", event_type, input], 2, &words);
    }
    let good = payload("topic.completed");
    cli.fails(&["publish", "topic.completed", &good, "--key", &"k".repeat(201)], 2, &["ordering key", "200"]);
    assert!(cli.stored().is_empty());
}

async fn one_id_cannot_stand_for_two_events(database: Database) {
    let cli = Cli::migrated(database);
    let (id, good) = ("01900000-0000-7000-8000-000000000001", payload("topic.completed"));
    let publish = ["publish", "topic.completed", &good, "--id", id];
    assert_eq!(cli.succeeds(&publish).trim(), id);
    let again = cli.run(&publish);
    assert_eq!((again.code, again.out.trim()), (0, id));
    assert!(again.err.contains("stored before"), "{again:?}");
    cli.fails(
        &["publish", "quiz.passed", &payload("quiz.passed"), "--id", id],
        1,
        &[id, "another type or payload"],
    );
    assert_eq!(cli.stored().len(), 1);
}

#[test]
fn wrong_usage_is_refused_before_the_database_is_opened() {
    let cli = Cli::new(Database::sqlite());
    for args in [
        &["publish"] as &[&str],
        &["publish", "topic.completed", "{}", "--id", "not-a-uuid"],
        &["publish", "topic.completed", "--file", "x.ndjson"],
        &["publish", "topic.completed", "{}", "--wait=soon"],
        &["events", "list", "--since", "yesterday"],
        &["events", "list", "--cursor", "abc"],
        &["events", "list", "--cursor", "-1"],
        &["events", "list", "--limit", "0"],
        &["events", "list", "--limit", "1001"],
        &["events", "list", "--state", "lost"],
        &["events", "list", "--type", "Course"],
        &["events", "list", "--colour", "red"],
        &["events", "show", "7"],
        &["deliveries", "list", "--state", "lost"],
        &["deliveries", "redrive"],
        &["deliveries", "redrive", "01900000-0000-7000-8000-000000000001"],
        &["deliveries", "cancel", "--type", "topic.completed", "--yes"],
        &["replay", "--module", "ats"],
        &["replay", "--event", "01900000-0000-7000-8000-000000000001"],
        &["demo", "--graduates", "0"],
        &["-v", "-q", "events", "list"],
        &["dance"],
    ] {
        let Outcome { code, out, err } = cli.run(args);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(err.starts_with("error:") && out.is_empty(), "{args:?}: {out}{err}");
    }
}

#[test]
fn an_unknown_setting_is_named_wherever_it_stands() {
    let cli = Cli::new(Database::sqlite());
    let list = ["events", "list"];
    cli.file("stentor.toml", "[bus]\nleese = '15s'\n");
    cli.fails(&list, 2, &["bus.leese", "stentor.toml", "bus.lease"]);
    cli.file("stentor.toml", "[bus\n");
    cli.fails(&list, 2, &["stentor.toml"]);
    cli.file("stentor.toml", "");
    let outcome = Outcome::of(cli.command(&list).env("STENTOR_BUS__LEESE", "15s").output().unwrap());
    outcome.is_failure(&list, 2, &["bus.leese", "STENTOR_SECTION__KEY"]);
    cli.fails(&["--config", "absent.toml", "events", "list"], 2, &["absent.toml"]);
    cli.fails(&["--env-file", "absent.env", "events", "list"], 2, &["absent.env"]);
    cli.file("loud.toml", "[log]\nlevel = 'loud=='\n");
    cli.fails(&["--config", "loud.toml", "events", "list"], 2, &["log.level"]);
}
