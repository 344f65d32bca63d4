//! Writes a demo's report for people to read.

use std::io::{self, Write};

use time::Duration;

use super::DemoReport;
use super::story::{Moment, TrailEntry};

/// Writes `report` to `out`: the timeline, who did what, the audit trail and the checks.
///
/// # Errors
///
/// Fails if `out` does.
pub fn render(report: &DemoReport, out: &mut impl Write) -> io::Result<()> {
    let story = &report.story;
    writeln!(out, "Timeline (milliseconds since the first event)")?;
    for moment in &story.timeline {
        write_moment(moment, out)?;
    }
    writeln!(out, "\nWho did what")?;
    for deed in &story.deeds {
        writeln!(out, "  {:<14} {}", deed.module, deed.did)?;
    }
    writeln!(out, "\nAudit trail of one graduation: {}", story.graduate)?;
    for entry in &story.trail {
        write_entry(entry, out)?;
    }
    writeln!(out, "\nChecks")?;
    for check in &report.checks {
        let mark = if check.ok { "ok    " } else { "FAILED" };
        writeln!(out, "  {mark} {} ({})", check.name, check.detail)?;
    }
    let DemoReport { events, deliveries, elapsed_ms, .. } = report;
    writeln!(out, "\n{events} events, {deliveries} deliveries, {elapsed_ms} ms")
}

fn write_moment(moment: &Moment, out: &mut impl Write) -> io::Result<()> {
    let Moment { event_type, events, first, last_done } = moment;
    writeln!(out, "  {:>9.1} to {:>9.1}  {event_type} ({events})", ms(*first), ms(*last_done))
}

fn write_entry(entry: &TrailEntry, out: &mut impl Write) -> io::Result<()> {
    let took = entry.took.map_or_else(|| "not yet".to_owned(), |took| format!("in {:.1} ms", ms(took)));
    writeln!(out, "  {:>9.1}  {} {} processed {took}", ms(entry.at), entry.id, entry.event_type)?;
    if let Some(cause) = entry.caused_by {
        writeln!(out, "             caused by {cause}")?;
    }
    writeln!(out, "             {}", entry.payload)
}

fn ms(duration: Duration) -> f64 {
    duration.as_seconds_f64() * 1_000.0
}
