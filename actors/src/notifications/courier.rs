//! Couriers: one module for each channel, which sends its letters and marks them.

use std::time::Duration;

use stentor::{
    BreakerPolicy, Context, Event, Handle, HandlerError, Module, ModuleOptions, RetryPolicy, Subscriptions,
};
use uuid::Uuid;

use super::letters::{self, Letter};

/// How many letters of a channel are under way at once.
const WORKERS: u32 = 4;

/// How often a letter is tried: the last time about nine hours after the first.
const ATTEMPTS_MAX: u32 = 20;

/// A way out of the house.
pub(super) trait Channel: Send + 'static {
    /// The durable name of its module.
    const MODULE: &'static str;

    /// What says that a letter waits.
    type Queued: Event;

    /// Returns the letter that waits.
    fn letter_id(event: &Self::Queued) -> Uuid;

    /// Sends a letter.
    ///
    /// # Errors
    ///
    /// Fatal if the same letter can never be sent. No error holds a secret.
    async fn send(&self, letter: &Letter) -> Result<(), HandlerError>;
}

/// Carries the letters of one channel.
pub(super) struct Courier<C>(pub(super) C);

impl<C: Channel> Module for Courier<C> {
    const NAME: &'static str = C::MODULE;

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<C::Queued>();
    }

    /// The breaker opens only if nothing gets through: receivers are strangers to each other, and
    /// one that is down should hold up no other's letters.
    fn options() -> ModuleOptions {
        ModuleOptions::default()
            .workers(WORKERS)
            .timeout(Duration::from_secs(30))
            .retry(RetryPolicy::new().max_attempts(ATTEMPTS_MAX))
            .breaker(BreakerPolicy::new().failure_ratio(1.0))
    }
}

impl<C: Channel> Handle<C::Queued> for Courier<C> {
    async fn handle(&mut self, event: &C::Queued, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let id = C::letter_id(event);
        let Some(letter) = letters::waiting(cx, id).await? else {
            return Ok(());
        };
        self.0.send(&letter).await?;
        letters::mark_sent(cx.transaction().await?, id).await
    }
}
