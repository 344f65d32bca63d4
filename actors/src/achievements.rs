//! Achievements: experience points for what people do, and trophies for what they keep doing.

use stentor::{Module, Subscriptions};

/// Awards points and achievements.
#[derive(Debug)]
pub struct Achievements;

impl Module for Achievements {
    const NAME: &'static str = "achievements";

    fn subscriptions(_on: &mut Subscriptions<Self>) {}
}
