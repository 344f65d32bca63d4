//! The events and modules that the tests of the bus share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use stentor::{Context, Event, Handle, HandlerError, Module, Subscriptions};
use tokio::sync::mpsc;

/// Something that happened, with a number and perhaps a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Happened {
    pub(crate) number: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

impl Event for Happened {
    const TYPE: &'static str = "test.happened";

    fn ordering_key(&self) -> Option<String> {
        self.key.clone()
    }
}

pub(crate) fn happened(number: u32) -> Happened {
    Happened { number, key: None }
}

pub(crate) fn keyed(number: u32, key: &str) -> Happened {
    Happened { number, key: Some(key.to_owned()) }
}

/// What a handler does with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Succeed,
    Fail,
    FailFatally,
    Panic,
    Hang,
}

/// What a probe saw: the event's number, the attempt, and how many deliveries its state had seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) number: u32,
    pub(crate) attempt: u32,
    pub(crate) before: u32,
}

/// A module that follows a script and tells what it sees.
pub(crate) struct Probe {
    script: Arc<Mutex<VecDeque<Act>>>,
    seen: mpsc::UnboundedSender<Seen>,
    before: u32,
}

/// The test's end of a [`Probe`].
pub(crate) struct Watcher {
    script: Arc<Mutex<VecDeque<Act>>>,
    sender: mpsc::UnboundedSender<Seen>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Watcher {
    pub(crate) fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        Self { script: Arc::new(Mutex::new(script.into_iter().collect())), sender, seen }
    }

    pub(crate) fn factory(&self) -> impl Fn() -> Probe + Send + Sync + 'static + use<> {
        let (script, sender) = (Arc::clone(&self.script), self.sender.clone());
        move || Probe { script: Arc::clone(&script), seen: sender.clone(), before: 0 }
    }

    pub(crate) async fn next(&mut self) -> Seen {
        crate::world::soon(self.seen.recv()).await.expect("the probe lives")
    }

    pub(crate) fn is_quiet(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }
}

impl Module for Probe {
    const NAME: &'static str = "probe";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<Happened>();
    }
}

impl Handle<Happened> for Probe {
    async fn handle(&mut self, event: &Happened, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        let seen = Seen { number: event.number, attempt: cx.attempt(), before: self.before };
        self.before += 1;
        self.seen.send(seen).ok();
        let act = self.script.lock().expect("no panic within").pop_front().unwrap_or(Act::Succeed);
        match act {
            Act::Succeed => Ok(()),
            Act::Fail => Err(HandlerError::retryable("the script says fail")),
            Act::FailFatally => Err(HandlerError::fatal("the script says give up")),
            Act::Panic => panic!("the script says panic"),
            Act::Hang => std::future::pending().await,
        }
    }
}
