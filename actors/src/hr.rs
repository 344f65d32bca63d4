//! Human resources: who is hired, works, is on leave and spends.

use stentor::{Module, Subscriptions};

/// Keeps the records of employees.
#[derive(Debug)]
pub struct Hr;

impl Module for Hr {
    const NAME: &'static str = "hr";

    fn subscriptions(_on: &mut Subscriptions<Self>) {}
}
