//! How a module wants to be run.

use std::time::Duration;

use crate::breaker::BreakerPolicy;
use crate::delivery::KeyOrder;
use crate::retry::RetryPolicy;

/// How a module wants to be run. Every value has a default; bounds are checked at start.
#[derive(Debug, Clone)]
pub struct ModuleOptions {
    pub(crate) workers: u32,
    pub(crate) order: KeyOrder,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Duration,
    pub(crate) breaker: BreakerPolicy,
    pub(crate) rate_limit: Option<u32>,
    pub(crate) capacity: u32,
    pub(crate) capacity_bytes: usize,
    pub(crate) own_thread: bool,
    pub(crate) deliveries_per_transaction: u32,
}

/// An option of a module is out of bounds.
#[derive(Debug, thiserror::Error)]
#[error("module {module:?}: {option} is {value}, allowed are {allowed}")]
pub struct InvalidOptions {
    module: String,
    option: &'static str,
    value: String,
    allowed: &'static str,
}

impl Default for ModuleOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            order: KeyOrder::default(),
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(30),
            breaker: BreakerPolicy::default(),
            rate_limit: None,
            capacity: 16_384,
            capacity_bytes: 16 * 1024 * 1024,
            own_thread: false,
            deliveries_per_transaction: 1,
        }
    }
}

impl ModuleOptions {
    /// Sets how many workers share the module's deliveries, each with state of its own.
    ///
    /// Default 1; 1 to 256.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Sets whether the module sees the events of one ordering key in publish order.
    ///
    /// Default [`KeyOrder::Unordered`]. An ordered module runs on one node at a time.
    #[must_use]
    pub fn order(mut self, order: KeyOrder) -> Self {
        self.order = order;
        self
    }

    /// Sets when a failed delivery is tried again, and how often.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long a handler may take before its delivery fails and its worker is rebuilt.
    ///
    /// Default 30 s; 1 ms to 24 h.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets when the breaker of a handler opens.
    #[must_use]
    pub fn breaker(mut self, breaker: BreakerPolicy) -> Self {
        self.breaker = breaker;
        self
    }

    /// Sets how many deliveries a second the module starts at most, over all its workers on this node.
    ///
    /// Default: no limit; at least 1. Deliveries over the limit wait, and spill to the store like any others.
    #[must_use]
    pub fn rate_limit(mut self, per_second: u32) -> Self {
        self.rate_limit = Some(per_second);
        self
    }

    /// Sets how many deliveries wait in memory before the module's share spills to the store.
    ///
    /// Default 16,384; 1 to 1,048,576.
    #[must_use]
    pub fn capacity(mut self, deliveries: u32) -> Self {
        self.capacity = deliveries;
        self
    }

    /// Sets how many bytes of payload wait in memory before the module's share spills to the store.
    ///
    /// Default 16 MiB; at least 1.
    #[must_use]
    pub fn capacity_bytes(mut self, bytes: usize) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// Gives the module a thread of its own, for handlers that compute for long or block.
    ///
    /// Default: modules share as many threads as there are cores.
    #[must_use]
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// Lets a worker commit up to so many deliveries of one type in one transaction, while more of them wait.
    ///
    /// Default 1; 1 to 256. A commit waits for the disk, so this is what bounds how many
    /// transactional deliveries a worker makes a second. If anything goes wrong in a shared
    /// transaction, all of it is undone and each of its deliveries runs again in one of its own, under
    /// the same attempt: only the one that fails then is a failure. So a handler may be called twice,
    /// and must do nothing but write through [`Context::transaction`](crate::Context::transaction) and
    /// publish through [`Context::publish`](crate::Context::publish): nothing slow, and nothing that
    /// waits for the bus. Has no effect on a module with an ordering key or a rate limit.
    #[must_use]
    pub fn deliveries_per_transaction(mut self, deliveries: u32) -> Self {
        self.deliveries_per_transaction = deliveries;
        self
    }

    /// Returns how many deliveries share a transaction, all options considered.
    pub(crate) fn sharing(&self) -> u32 {
        let alone = self.order != KeyOrder::Unordered || self.rate_limit.is_some();
        if alone { 1 } else { self.deliveries_per_transaction }
    }

    pub(crate) fn check(&self, module: &str) -> Result<(), InvalidOptions> {
        let refuse = |option, value: String, allowed| {
            Err(InvalidOptions { module: module.to_owned(), option, value, allowed })
        };
        if !(1..=256).contains(&self.workers) {
            return refuse("workers", self.workers.to_string(), "1 to 256");
        }
        if self.timeout < Duration::from_millis(1) || self.timeout > Duration::from_hours(24) {
            return refuse("timeout", format!("{:?}", self.timeout), "1 ms to 24 h");
        }
        if self.rate_limit == Some(0) {
            return refuse("rate_limit", "0".to_owned(), "at least 1");
        }
        if !(1..=256).contains(&self.deliveries_per_transaction) {
            let value = self.deliveries_per_transaction.to_string();
            return refuse("deliveries_per_transaction", value, "1 to 256");
        }
        if !(1..=1_048_576).contains(&self.capacity) {
            return refuse("capacity", self.capacity.to_string(), "1 to 1,048,576");
        }
        if self.capacity_bytes == 0 {
            return refuse("capacity_bytes", "0".to_owned(), "at least 1");
        }
        Ok(())
    }
}
