//! `cargo bench --bench fan_out --features cli [-- --database URL…] [--modules N] [--events N] [--publishers P] [--floor]`:
//! one JSON object a run, a run for each database. Without one it takes a temporary SQLite file.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use clap::Parser;
use stentor::StoreOptions;
use stentor::bench::{FanOutOptions, fan_out};

#[derive(Parser)]
struct Arguments {
    /// May be given several times.
    #[arg(long)]
    database: Vec<String>,
    #[arg(long, default_value_t = 6)]
    modules: u32,
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    #[arg(long, default_value_t = 1_024)]
    publishers: u32,
    #[arg(long, default_value_t = 150)]
    payload_bytes: usize,
    /// Events a second over all publishers.
    #[arg(long)]
    rate: Option<f64>,
    /// Modules that are paused while events are published.
    #[arg(long, default_value_t = 0)]
    paused_modules: u32,
    #[arg(long)]
    floor: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let mut urls = arguments.database;
    if urls.is_empty() {
        urls.push(format!("sqlite://{}", folder.path().join("bench.db").display()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for url in urls {
        let options = FanOutOptions {
            store: StoreOptions::new().url(url),
            modules: arguments.modules,
            events: arguments.events,
            publishers: arguments.publishers,
            payload_bytes: arguments.payload_bytes,
            rate: arguments.rate,
            paused_modules: arguments.paused_modules,
            floor: arguments.floor,
        };
        let report = runtime.block_on(fan_out(options))?;
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
