//! What moves inside a bus, for a test that waits until nothing does.

use tokio::sync::watch;

/// Announcements of dead letters: they are stored after the delivery that they tell of counts as dead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Announcements {
    pub(crate) begun: u64,
    /// Stored, or given up.
    pub(crate) ended: u64,
}

/// Wakes whoever waits for the bus to come to rest.
#[derive(Debug, Default)]
pub(crate) struct Progress(watch::Sender<Announcements>);

impl Progress {
    /// Says that the broker has worked off what had reached it.
    pub(crate) fn stir(&self) {
        self.0.send_modify(|_| {});
    }

    /// Says that a dead letter will be announced. Called before its delivery counts as dead.
    pub(crate) fn announcement_begins(&self) {
        self.0.send_modify(|announcements| announcements.begun += 1);
    }

    /// Says that an announcement is stored or was given up.
    pub(crate) fn announcement_ends(&self) {
        self.0.send_modify(|announcements| announcements.ended += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Announcements> {
        self.0.subscribe()
    }
}
