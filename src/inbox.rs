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
    /// The reader is gone: what is queued now is dropped, and with it the way to answer.
    is_closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let queue = Queue { items: Vec::new(), is_woken: false, patient: 0, enough: 1, is_closed: false };
        Self { queue: Mutex::new(queue), reader: OnceLock::new() }
    }

    /// Names the actor that reads, once; what was queued before then waits for this.
    pub(crate) fn open(&self, reader: Recipient<Wake>) {
        if self.reader.set(reader).is_ok() {
            self.wake();
        }
    }

    pub(crate) fn push(&self, item: T) {
        let Some(mut queue) = self.lock_open() else { return };
        queue.items.push(item);
        self.wake_once(queue, true);
    }

    /// Queues, in the same order as everything else, what may wait until there is enough of it.
    pub(crate) fn push_patiently(&self, item: T, amount: usize) {
        let Some(mut queue) = self.lock_open() else { return };
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

    /// Says that nobody reads any more, and returns what nobody has read.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut queue = self.lock();
        queue.is_closed = true;
        std::mem::take(&mut queue.items)
    }

    fn lock_open(&self) -> Option<MutexGuard<'_, Queue<T>>> {
        Some(self.lock()).filter(|queue| !queue.is_closed)
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

    /// One wake-up at most is under way for what the reader has not taken, so the mailbox stays small although
    /// it is not asked for room.
    fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.do_send(Wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Addr, Context, Handler, Message};

    use super::{Inbox, Wake};

    /// Counts how often it is woken.
    struct Reader {
        wakes: u32,
    }

    impl Actor for Reader {
        type Context = Context<Self>;
    }

    impl Handler<Wake> for Reader {
        type Result = ();

        fn handle(&mut self, _: Wake, _: &mut Self::Context) {
            self.wakes += 1;
        }
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Wakes;

    impl Handler<Wakes> for Reader {
        type Result = u32;

        fn handle(&mut self, _: Wakes, _: &mut Self::Context) -> u32 {
            std::mem::take(&mut self.wakes)
        }
    }

    fn with_reader<F: Future<Output = ()>>(test: impl FnOnce(Inbox<u32>, Addr<Reader>) -> F) {
        actix::System::new().block_on(async move {
            let (inbox, reader) = (Inbox::new(), Reader { wakes: 0 }.start());
            inbox.open(reader.clone().recipient());
            assert_eq!(reader.send(Wakes).await, Ok(1));
            test(inbox, reader).await;
        });
    }

    #[test]
    fn a_burst_wakes_once() {
        with_reader(|inbox, reader| async move {
            inbox.push(1);
            inbox.push_patiently(2, 1);
            inbox.push(3);
            assert_eq!(reader.send(Wakes).await, Ok(1));
            assert_eq!(inbox.take(Vec::new()), [1, 2, 3]);
            inbox.push(4);
            assert_eq!(reader.send(Wakes).await, Ok(1));
        });
    }

    #[test]
    fn what_can_wait_wakes_when_there_is_enough_of_it() {
        with_reader(|inbox, reader| async move {
            inbox.set_enough(3);
            inbox.push_patiently(1, 2);
            assert_eq!(reader.send(Wakes).await, Ok(0));
            inbox.push_patiently(2, 1);
            assert_eq!(reader.send(Wakes).await, Ok(1));
            assert_eq!(inbox.take(Vec::new()), [1, 2]);
            inbox.push_patiently(3, 2);
            assert_eq!(reader.send(Wakes).await, Ok(0));
            inbox.set_enough(2);
            assert_eq!(reader.send(Wakes).await, Ok(1), "what waits has become enough");
        });
    }

    #[test]
    fn nothing_is_kept_for_a_reader_that_is_gone() {
        with_reader(|inbox, _| async move {
            inbox.push(1);
            assert_eq!(inbox.close(), [1]);
            inbox.push(2);
            inbox.push_patiently(3, 1);
            assert!(inbox.close().is_empty());
        });
    }
}
