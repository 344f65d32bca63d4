//! Every reaction of every module, on both databases, delivered once and again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_wrap,
    reason = "what fails here fails the test"
)]

mod academy;
#[cfg(feature = "achievements")]
mod achievements;
mod ats;
mod demo;
#[cfg(feature = "hr")]
mod hr;
#[cfg(feature = "notifications")]
mod notifications;
#[cfg(any(feature = "achievements", feature = "hr"))]
mod placing;
mod trikala;
mod whole_school;
mod world;
