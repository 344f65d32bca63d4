//! `prune`: retention.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{CliError, Session, when};

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Delete processed events that were stored longer ago than this, such as 90d
    #[arg(long, value_name = "AGE", value_parser = when::duration)]
    older_than: Duration,
    /// Only say how many it would be
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(session: &Session, args: PruneArgs) -> Result<(), CliError> {
    let client = session.client().await?;
    let (prunable, kept) = client.prunable(args.older_than).await?;
    let (key, count, verb) = if args.dry_run {
        ("would_prune", prunable, "would be deleted")
    } else {
        ("pruned", client.prune(args.older_than).await?, "deleted")
    };
    client.close().await;
    session.output().one(&json!({ key: count, "kept": kept }), |out| {
        writeln!(out, "{count} events {verb}; {kept} kept, as they have dead or pending deliveries")
    })
}
