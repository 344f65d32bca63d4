//! The bus, as an embedder sees it, on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod events;
mod outcomes;
mod publishing;
mod world;
