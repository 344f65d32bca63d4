//! The way into the broker from any thread: a queue with one wake-up a burst.
//!
//! Waking a thread costs far more than queueing. So senders append under a lock, only the
//! first of a burst sends an actor message, and what the reader could not act on yet
//! wakes nobody until there is enough of it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use actix::{Message, Recipient};

/// Tells the reader that there is something in its inbox for it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// A queue of messages for one actor.
pub(crate) struct Inbox<T> {
    queue: Mutex<Queue<T>>,
    reader: OnceLock<Recipient<Wake>>,
}

struct Queue<T> {
    items: Vec<T>,
    /// The reader was woken and has not come yet.
    is_woken: bool,
    /// How much of what can wait is queued.
    patient: usize,
    /// How much of it makes the reader come.
    enough: usize,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let queue = Queue { items: Vec::new(), is_woken: false, patient: 0, enough: 1 };
        Self { queue: Mutex::new(queue), reader: OnceLock::new() }
    }

    /// Names the actor that reads, once; what was queued before then waits for this.
    pub(crate) fn open(&self, reader: Recipient<Wake>) {
        if self.reader.set(reader).is_ok() {
            self.wake();
        }
    }

    pub(crate) fn push(&self, item: T) {
        let mut queue = self.lock();
        queue.items.push(item);
        self.wake_once(queue, true);
    }

    /// Queues, in the same order as everything else, what may wait until there is enough of it.
    pub(crate) fn push_patiently(&self, item: T, amount: usize) {
        let mut queue = self.lock();
        queue.items.push(item);
        queue.patient += amount;
        let is_enough = queue.patient >= queue.enough;
        self.wake_once(queue, is_enough);
    }

    /// Says how much of what can wait is to wake the reader, from now on.
    pub(crate) fn set_enough(&self, enough: usize) {
        let mut queue = self.lock();
        queue.enough = enough;
        let is_enough = queue.patient > 0 && queue.patient >= enough;
        self.wake_once(queue, is_enough);
    }

    /// Takes everything that is queued, in order, leaving `spare` as the next queue.
    pub(crate) fn take(&self, spare: Vec<T>) -> Vec<T> {
        let mut queue = self.lock();
        queue.is_woken = false;
        queue.patient = 0;
        std::mem::replace(&mut queue.items, spare)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the reader if it should come and is not on its way.
    fn wake_once(&self, mut queue: MutexGuard<'_, Queue<T>>, should_come: bool) {
        if should_come && !std::mem::replace(&mut queue.is_woken, true) {
            drop(queue);
            self.wake();
        }
    }

    /// One wake-up at most is under way, so the mailbox stays small although it is not asked for room.
    fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.do_send(Wake);
        }
    }
}
