//! The binary `stentor`, as a script sees it: arguments in; output, errors and exit codes out.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "../reactions/world.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the databases are shared with the tests of the modules"
)]
mod world;

mod bad_input;
mod binary;
mod catalogue;
mod databases;
mod demo;
mod files;
mod operating;
mod operations;
mod reading;
mod service;
