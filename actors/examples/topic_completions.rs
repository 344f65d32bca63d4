//! Writes the topic completions of a generated school as NDJSON, for `stentor publish --file`.
//!
//! `cargo run -p stentor-actors --example topic_completions -- --students 1000 > completions.ndjson`

use std::io::{self, BufWriter};

use clap::Parser;
use stentor_actors::school::School;

/// Writes the topic completions of a generated school as NDJSON to stdout.
#[derive(Debug, Parser)]
struct Options {
    /// How many students complete a course
    #[arg(long, default_value_t = 1_000)]
    students: u32,
    /// What the school grows from; the same number makes the same file
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let school = School::new(options.students, options.seed);
    school.write_completions(&mut BufWriter::new(io::stdout().lock()))
}
