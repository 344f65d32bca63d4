//! Companions: documents for people, made from what the tables know of them.

use stentor::{Module, Subscriptions};

/// Writes the résumés of graduates.
#[derive(Debug)]
pub struct Companions;

impl Module for Companions {
    const NAME: &'static str = "companions";

    fn subscriptions(_on: &mut Subscriptions<Self>) {}
}
