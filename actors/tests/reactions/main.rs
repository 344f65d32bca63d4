//! Every reaction of every module, on both databases, delivered once and again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_wrap,
    reason = "what fails here fails the test"
)]

#[cfg(feature = "academy")]
mod academy;
#[cfg(feature = "achievements")]
mod achievements;
#[cfg(feature = "ai")]
mod ai;
#[cfg(feature = "ats")]
mod ats;
#[cfg(all(feature = "academy", feature = "companions"))]
mod companions;
#[cfg(all(feature = "crm", feature = "notifications"))]
mod crm;
#[cfg(all(
    feature = "academy",
    feature = "achievements",
    feature = "ai",
    feature = "ats",
    feature = "companions",
    feature = "crm",
    feature = "hr",
    feature = "notifications",
    feature = "trikala"
))]
mod demo;
#[cfg(feature = "hr")]
mod hr;
#[cfg(feature = "notifications")]
mod notifications;
#[cfg(all(feature = "ats", feature = "trikala"))]
mod placements;
#[cfg_attr(
    not(any(feature = "achievements", feature = "ats", feature = "hr", feature = "trikala")),
    allow(dead_code, reason = "nobody reacts to a placement")
)]
mod placing;
mod rubbish;
#[cfg(all(feature = "notifications", feature = "trikala"))]
mod trikala;
#[cfg(all(feature = "academy", feature = "ats", feature = "notifications", feature = "trikala"))]
mod whole_school;
mod world;
