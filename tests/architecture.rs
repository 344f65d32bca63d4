//! The rooms of the workspace know each other in one direction only.
//!
//! Each file belongs to the room that its first folder or its name says
//! (`src/worker/run.rs` is in `worker`). A room may use rooms below it, and those
//! that stand on its own floor where the floor allows it. A room that is not
//! listed stands on the top floor: it may use everything and nothing may use it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that a file may have.
const LINES_MAX: usize = 400;

/// A package's floors, lowest first.
struct House {
    source: &'static str,
    floors: &'static [Floor],
}

struct Floor {
    rooms: &'static [&'static str],
    neighbours: Neighbours,
}

/// Whether the rooms of a floor may use each other.
#[derive(Clone, Copy, PartialEq)]
enum Neighbours {
    Known,
    Strangers,
}
use Neighbours::{Known, Strangers};

/// The bus. The store may speak the ledger's words; the ledger never knows a store.
const BUS: House = House {
    source: "src",
    floors: &[
        Floor { rooms: &["event", "error", "envelope", "catalogue", "delivery"], neighbours: Known },
        Floor { rooms: &["retry", "breaker", "publication", "audit"], neighbours: Strangers },
        Floor { rooms: &["ledger"], neighbours: Strangers },
        Floor { rooms: &["store"], neighbours: Strangers },
        Floor {
            rooms: &[
                "broker",
                "context",
                "inbox",
                "maintenance",
                "module",
                "progress",
                "routes",
                "runtime",
                "services",
                "supervisor",
                "worker",
            ],
            neighbours: Known,
        },
        Floor { rooms: &["client"], neighbours: Strangers },
        Floor { rooms: &["bus"], neighbours: Strangers },
    ],
};

/// The business modules: each knows the events and the people, and no other module.
const MODULES: House = House {
    source: "actors/src",
    floors: &[
        Floor { rooms: &["text"], neighbours: Strangers },
        Floor { rooms: &["events"], neighbours: Strangers },
        Floor { rooms: &["people", "schema"], neighbours: Strangers },
        Floor {
            rooms: &[
                "academy",
                "achievements",
                "ai",
                "ats",
                "companions",
                "crm",
                "hr",
                "notifications",
                "trikala",
            ],
            neighbours: Strangers,
        },
    ],
};

impl House {
    /// Returns the floor of `room`; one above the last if the room is not listed.
    fn level(&self, room: &str) -> usize {
        let level = self.floors.iter().position(|floor| floor.rooms.contains(&room));
        level.unwrap_or(self.floors.len())
    }

    fn allows(&self, from: &str, to: &str) -> bool {
        let (above, below) = (self.level(from), self.level(to));
        let neighbours = self.floors.get(above).map_or(Known, |floor| floor.neighbours);
        from == to || below < above || (below == above && neighbours == Known)
    }

    /// Returns what is wrong with the arrows that leave a file.
    fn arrows_back(&self, room: &str, text: &str) -> Vec<String> {
        let targets = rooms_used(text).into_iter().filter(|target| !self.allows(room, target));
        targets.map(|target| format!("{room} uses {target}")).collect()
    }
}

/// Returns the rooms that a file's code names: `crate::room`, alone or in braces. Comments and tests do not count.
fn rooms_used(text: &str) -> Vec<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut rooms = Vec::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => rooms.extend(heads_of_list(list)),
            None => rooms.push(head(after)),
        }
    }
    // Types and macros at the root of the crate are no rooms.
    rooms.retain(|room| room.starts_with(|first: char| first.is_ascii_lowercase()) && room != "args");
    rooms
}

/// Returns the first word of each path in `{a::B, c::{D, E}}`, whose opening brace is gone.
fn heads_of_list(list: &str) -> Vec<String> {
    let (mut depth, mut item, mut heads) = (1, String::new(), Vec::new());
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(head(&std::mem::take(&mut item))),
            other if depth == 1 => item.push(other),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads.push(head(&item));
    heads
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn all_files() -> Vec<PathBuf> {
    let folders = ["src", "tests", "benches", "examples", "actors/src", "actors/tests", "actors/examples"];
    folders.iter().flat_map(|folder| rust_files(&root().join(folder))).collect()
}

/// Returns whether a file is there for tests alone: a room's `tests` or the `simulation` that drives it.
fn is_test(file: &Path) -> bool {
    file.iter()
        .any(|part| ["tests", "tests.rs", "simulation", "simulation.rs"].iter().any(|name| part == *name))
}

fn room_of(file: &Path, source: &Path) -> String {
    let first = file.strip_prefix(source).unwrap().iter().next().unwrap();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

#[test]
fn no_arrow_runs_back() {
    for house in [BUS, MODULES] {
        let source = root().join(house.source);
        let files = rust_files(&source);
        assert!(files.len() > 5, "{} was not found", source.display());
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let wrong = house.arrows_back(&room_of(&file, &source), &text);
            assert!(wrong.is_empty(), "{}: {}", file.display(), wrong.join(", "));
        }
    }
}

#[test]
fn pure_rooms_touch_neither_the_world_nor_the_clock() {
    let source = root().join("src");
    let impure = [
        "actix",
        "sqlx",
        "tokio",
        "fastrand",
        "std::fs",
        "std::env",
        "Instant::now",
        "SystemTime",
        "now_utc",
    ];
    let files = rust_files(&source).into_iter().filter(|file| !is_test(file.strip_prefix(&source).unwrap()));
    let pure = ["ledger", "retry", "breaker"];
    for file in files.filter(|file| pure.contains(&room_of(file, &source).as_str())) {
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in impure {
            let found = code.iter().find(|line| line.contains(word));
            assert!(found.is_none(), "{}: {word} in {found:?}", file.display());
        }
    }
}

#[test]
fn files_stay_short_and_say_what_they_are_for() {
    for file in all_files() {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: make it two files", file.display());
        assert!(text.starts_with("//!"), "{} does not start with its purpose", file.display());
    }
}

#[test]
fn a_turned_arrow_is_found() {
    let back = |house: &House, room: &str, text: &str| !house.arrows_back(room, text).is_empty();
    assert!(back(&BUS, "ledger", "use crate::store::Store;"));
    assert!(back(&BUS, "store", "fn f() { crate::bus::Bus::builder(); }"));
    assert!(back(&BUS, "ledger", "use crate::{breaker::Breaker,\n    store::{self, Store}};"));
    assert!(back(&BUS, "client", "use crate::cli::App;"));
    assert!(back(&MODULES, "ats", "use crate::hr::Hr;"));
    assert!(back(&MODULES, "events", "use crate::people;"));
    assert!(!back(&BUS, "bus", "use crate::broker::Broker;"));
    assert!(!back(
        &BUS,
        "ledger",
        "// crate::store is unknown here\nuse crate::{delivery::Next, retry::Jitter};"
    ));
    assert!(!back(&BUS, "ledger", "#[cfg(test)]\nmod tests { use crate::store::Store; }"));
    assert!(!back(&MODULES, "demo", "use crate::school::School;"));
}
