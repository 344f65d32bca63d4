//! Every reaction of every module, on both databases, delivered once and again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_wrap,
    reason = "what fails here fails the test"
)]

mod academy;
mod ats;
mod demo;
mod notifications;
mod trikala;
mod whole_school;
mod world;
