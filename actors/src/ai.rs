//! AI: finds in conversations what else somebody may want from us.

use stentor::{Module, Subscriptions};

/// Reads conversations that ended.
#[derive(Debug)]
pub struct Ai;

impl Module for Ai {
    const NAME: &'static str = "ai";

    fn subscriptions(_on: &mut Subscriptions<Self>) {}
}
