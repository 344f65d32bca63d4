//! The bus, as an embedder sees it, on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod cancellation;
mod dropped;
mod effects;
mod events;
mod guide;
mod limits;
mod lost_answers;
mod nodes;
mod order;
mod outcomes;
mod publishing;
mod sharing;
mod supervision;
#[cfg(feature = "testing")]
mod testing;
mod versions;
#[path = "../common/world.rs"]
mod world;
