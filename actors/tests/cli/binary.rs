//! Runs the binary on a database of the test's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;
use stentor_actors::events;
use tempfile::TempDir;

use crate::world::Database;

/// The binary in a folder of its own, with a database.
pub(crate) struct Cli {
    pub(crate) folder: TempDir,
    pub(crate) database: Database,
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Cli {
    /// With a database that has no schema yet.
    pub(crate) fn new(database: Database) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database }
    }

    /// With a database that is ready.
    pub(crate) fn migrated(database: Database) -> Self {
        let cli = Self::new(database);
        cli.succeeds(&["migrate", "up"]);
        cli
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the binary's folder.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// The binary with its database in the environment, and nothing else of ours.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
        let ours = std::env::vars().filter(|(name, _)| name.starts_with("STENTOR_"));
        ours.for_each(|(name, _)| {
            command.env_remove(name);
        });
        command
            .env("DATABASE_URL", &self.database.url)
            .current_dir(self.path())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args).output().unwrap())
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub(crate) fn succeeds(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, 0, "{args:?}: {outcome:?}");
        outcome.out
    }

    /// Runs a command that must fail with this code and name all of `words` on one line.
    pub(crate) fn fails(&self, args: &[&str], code: i32, words: &[&str]) {
        self.run(args).is_failure(args, code, words);
    }

    /// Runs a command that must succeed, and returns its output read as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["-o", "json"]].concat();
        serde_json::from_str(&self.succeeds(&args)).expect("the output is JSON")
    }

    /// Returns all stored events, newest first.
    pub(crate) fn stored(&self) -> Vec<Value> {
        self.json(&["events", "list", "--limit", "1000"]).as_array().unwrap().clone()
    }

    /// Stores an event that nobody handles, and returns its id.
    pub(crate) fn publish(&self) -> String {
        self.succeeds(&["publish", "timesheet.submitted", &payload("timesheet.submitted")]).trim().to_owned()
    }

    /// Starts the service and waits until it serves.
    pub(crate) fn serve(&self) -> Service {
        let mut child = self.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("serving") {
            assert!(log.read_line(&mut text).unwrap() > 0, "the service ended: {text}");
        }
        Service { child, log }
    }
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn is_failure(&self, args: &[&str], code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{args:?}: {self:?}");
        let line = self.err.lines().find(|line| line.starts_with("error:")).expect("an error is said");
        for word in words {
            assert!(line.contains(word), "{args:?}: {word:?} is not in {line:?}");
        }
    }
}

/// A running service; killed if the test forgets it.
pub(crate) struct Service {
    child: Child,
    /// Kept open, so that the service can go on writing.
    log: BufReader<ChildStderr>,
}

impl Service {
    /// Sends a signal, and returns the exit code and what it still had to say.
    pub(crate) fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let mut text = String::new();
        while self.log.read_line(&mut text).unwrap() > 0 {}
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns an example of a payload, as JSON.
pub(crate) fn payload(event_type: &str) -> String {
    let examples = events::examples().unwrap();
    examples.into_iter().find(|example| example.event_type == event_type).unwrap().payload.to_string()
}
