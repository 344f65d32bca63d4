//! The ledger in a model world: random publishes, failures, crashes, and what must hold.
//!
//! Each seed is one world with its own modules, store and faults. Everything in
//! it follows from the seed, so a failure is replayed by its number, with a trace.
//! When the faults end, everything that was stored must come to its end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

mod broker;
mod checks;
mod faults;
mod store;
mod workers;
mod world;

use world::World;

/// Worlds in all tests together, unless `STENTOR_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 100_000;
/// The tests that share the worlds, so that they run beside each other.
const PARTS: u64 = 4;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

fn run(seed: u64, trace: bool) {
    let world = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace).run()));
    if let Err(panic) = world {
        println!(
            "seed {seed} fails; replay it, with a trace, by\n  STENTOR_SIM_SEED={seed} cargo nextest run -p stentor ledger::simulation::part_0 --no-capture"
        );
        resume_unwind(panic);
    }
}

fn run_part(part: u64) {
    if let Some(seed) = number_from("STENTOR_SIM_SEED") {
        if part == 0 {
            run(seed, true);
        }
        return;
    }
    let seeds = number_from("STENTOR_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in (part..seeds).step_by(usize::try_from(PARTS).expect("a few")) {
        run(seed, false);
    }
}

#[test]
fn part_0_of_all_worlds_keeps_the_promises() {
    run_part(0);
}

#[test]
fn part_1_of_all_worlds_keeps_the_promises() {
    run_part(1);
}

#[test]
fn part_2_of_all_worlds_keeps_the_promises() {
    run_part(2);
}

#[test]
fn part_3_of_all_worlds_keeps_the_promises() {
    run_part(3);
}
