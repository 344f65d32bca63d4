//! The way into the broker from any thread: a queue with one wake-up a burst.
//!
//! Waking a thread costs far more than queueing, so senders append under a
//! lock and only the one that finds the queue empty sends an actor message.

use std::sync::{Mutex, OnceLock, PoisonError};

use actix::{Message, Recipient};

/// Tells the reader that its inbox is no longer empty.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// A queue of messages for one actor.
pub(crate) struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    reader: OnceLock<Recipient<Wake>>,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { queue: Mutex::new(Vec::new()), reader: OnceLock::new() }
    }

    /// Names the actor that reads, once; what was queued before then waits for this.
    pub(crate) fn open(&self, reader: Recipient<Wake>) {
        if self.reader.set(reader).is_ok() {
            self.wake();
        }
    }

    pub(crate) fn push(&self, item: T) {
        let was_empty = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push(item);
            queue.len() == 1
        };
        if was_empty {
            self.wake();
        }
    }

    /// Takes everything that is queued, in order, leaving `spare` as the next queue.
    pub(crate) fn take(&self, spare: Vec<T>) -> Vec<T> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut queue, spare)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "one wake-up at most is under way, so the mailbox stays small"
    )]
    fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.do_send(Wake);
        }
    }
}
