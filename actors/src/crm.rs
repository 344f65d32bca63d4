//! Customer relations: leads that the other modules find.

use stentor::{Module, Subscriptions};

/// Puts leads into the pipeline.
#[derive(Debug)]
pub struct Crm;

impl Module for Crm {
    const NAME: &'static str = "crm";

    fn subscriptions(_on: &mut Subscriptions<Self>) {}
}
