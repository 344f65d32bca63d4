//! Every reaction of every module, on both databases, delivered once and again.

mod academy;
mod ats;
mod demo;
mod notifications;
mod trikala;
mod whole_school;
mod world;
