//! `stats`: volume, failures and latencies, the failing and the slow first.

use std::io::{self, Write};

use clap::Args;
use time::OffsetDateTime;

use super::output::Table;
use super::{CliError, Session, when};
use crate::audit::{Latency, Stats};

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// Events stored since then: RFC 3339, or an age such as 2h or 7d
    #[arg(long, value_name = "T", value_parser = when::time, default_value = "24h")]
    since: OffsetDateTime,
}

pub(super) async fn run(session: &Session, args: StatsArgs) -> Result<(), CliError> {
    let client = session.client().await?;
    let stats = client.stats(args.since).await?;
    client.close().await;
    session.output().one(&stats, |out| write(&stats, args.since, out))
}

fn write(stats: &Stats, since: OffsetDateTime, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Events stored since {}", when::show(since))?;
    let columns = ["type", "events", "processed", "failed", "p50", "p95", "p99"];
    let types = stats.types.iter().fold(Table::new(columns), |table, of| {
        let counts = [of.events, of.processed].map(|count| count.to_string());
        let [events, processed] = counts;
        let [p50, p95, p99] = shown(of.latency);
        let failed = with_rate(of.failed, of.failure_rate);
        table.row([of.event_type.clone(), events, processed, failed, p50, p95, p99])
    });
    writeln!(out, "{types}\n\nTheir deliveries")?;
    let columns = ["module", "deliveries", "acked", "retrying", "dead", "p50", "p95", "p99"];
    let modules = stats.modules.iter().fold(Table::new(columns), |table, of| {
        let [deliveries, acked, retrying] =
            [of.deliveries, of.acked, of.retrying].map(|count| count.to_string());
        let [p50, p95, p99] = shown(of.latency);
        let dead = with_rate(of.dead, of.failure_rate);
        table.row([of.module.clone(), deliveries, acked, retrying, dead, p50, p95, p99])
    });
    writeln!(out, "{modules}")
}

fn with_rate(count: i64, rate: f64) -> String {
    if count == 0 { "0".to_owned() } else { format!("{count} ({:.1} %)", rate * 100.0) }
}

fn shown(latency: Latency) -> [String; 3] {
    [latency.p50_us, latency.p95_us, latency.p99_us].map(|us| match us {
        None => "-".to_owned(),
        Some(us) if us < 1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        Some(us) => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    })
}
