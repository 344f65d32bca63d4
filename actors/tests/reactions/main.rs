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
#[cfg(feature = "ai")]
mod ai;
#[cfg(feature = "ats")]
mod ats;
#[cfg(feature = "companions")]
mod companions;
#[cfg(all(feature = "crm", feature = "notifications"))]
mod crm;
mod demo;
#[cfg(feature = "hr")]
mod hr;
#[cfg(feature = "notifications")]
mod notifications;
#[cfg(all(feature = "ats", feature = "trikala"))]
mod placements;
#[cfg(any(feature = "achievements", feature = "ats", feature = "hr", feature = "trikala"))]
mod placing;
#[cfg(all(feature = "notifications", feature = "trikala"))]
mod trikala;
mod whole_school;
mod world;
