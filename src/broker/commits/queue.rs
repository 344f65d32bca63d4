//! What waits to be committed, and when the next commit may start.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::super::PublishRequest;
use crate::delivery::{Routed, payload_bytes};

/// The most events in one commit, unless one request alone has more.
const EVENTS_MAX: usize = 2_048;
/// The most bytes of payload in one commit, unless one request alone has more.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Commits of new events that may be under way at once.
const LANES: u32 = 2;
/// Events that are divided between two commits, where the store works on two at once.
const WORTH_TWO: usize = 512;

/// What waits to be committed, and what is under way.
pub(in crate::broker) struct Commits {
    pub(super) one_writer: bool,
    pub(super) waiting: VecDeque<PublishRequest>,
    pub(super) waiting_events: usize,
    /// Commits of new events under way, and how many events they have.
    pub(super) persisting: u32,
    pub(super) persisting_events: usize,
    pub(super) settling: bool,
    /// Ordering keys of the commits under way: a later event of one of them must not overtake.
    pub(super) persisting_keys: HashSet<String>,
    pub(super) rest_until: Duration,
}

impl Commits {
    pub(in crate::broker) fn new(one_writer: bool) -> Self {
        Self {
            one_writer,
            waiting: VecDeque::new(),
            waiting_events: 0,
            persisting: 0,
            persisting_events: 0,
            settling: false,
            persisting_keys: HashSet::new(),
            rest_until: Duration::ZERO,
        }
    }

    /// Returns whether nothing waits and nothing is under way.
    pub(in crate::broker) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.persisting == 0 && !self.settling
    }

    pub(super) fn wait(&mut self, request: PublishRequest) {
        self.waiting_events += request.events.len();
        self.waiting.push_back(request);
    }

    /// Returns how many events must wait for another commit to start, if one may: a second one only if
    /// it is worth its own, and overtakes nothing.
    fn threshold(&self) -> Option<usize> {
        match self.persisting {
            0 => Some(1),
            1..LANES if !self.waiting.front().is_some_and(|request| self.must_follow(request)) => {
                Some(self.persisting_events.max(1))
            }
            _ => None,
        }
    }

    /// Returns whether a commit of new events may start, or one for a settlement that goes with them.
    pub(super) fn may_persist(&self, owes_settlement: bool) -> bool {
        let settles = owes_settlement && self.one_writer && self.persisting == 0;
        settles || self.threshold().is_some_and(|enough| self.waiting_events >= enough)
    }

    /// Returns how many more events have to come before another commit may start.
    pub(super) fn events_wanted(&self) -> usize {
        self.threshold().map_or(usize::MAX, |enough| enough.saturating_sub(self.waiting_events).max(1))
    }

    /// Returns whether a request has a key of which events are on their way into the store.
    fn must_follow(&self, request: &PublishRequest) -> bool {
        keys(&request.events).any(|key| self.persisting_keys.contains(key))
    }

    /// Begins a commit of new events: takes what fits into one, in order. An id twice waits for the next.
    pub(super) fn begin(&mut self) -> Vec<(usize, PublishRequest)> {
        let divides = !self.one_writer && self.persisting == 0 && self.waiting_events >= WORTH_TWO;
        let (mut events, mut bytes, mut given) = (0, 0, HashSet::new());
        let mut taken = Vec::with_capacity(self.waiting.len().min(EVENTS_MAX));
        while let Some(request) = self.waiting.front() {
            let size = payload_bytes(&request.events);
            let (next, left) = (request.events.len(), self.waiting_events - events);
            let is_half = divides && left >= events && events + next > left - next;
            let is_full = events + next > EVENTS_MAX || bytes + size > BYTES_MAX || is_half;
            let mut ids = request.events.iter().map(|event| event.envelope.id);
            let is_again = request.ids_given && !ids.all(|id| given.insert(id));
            if !taken.is_empty() && (is_full || is_again) || self.must_follow(request) {
                break;
            }
            events += next;
            bytes += size;
            taken.extend(self.waiting.pop_front().map(|request| (request.events.len(), request)));
        }
        self.waiting_events -= events;
        self.persisting += 1;
        self.persisting_events += events;
        for (_, request) in &taken {
            self.persisting_keys.extend(keys(&request.events).map(str::to_owned));
        }
        taken
    }

    /// A commit of new events is over.
    pub(super) fn persisted(&mut self, events: &[Routed]) {
        self.persisting -= 1;
        self.persisting_events -= events.len();
        for key in keys(events) {
            self.persisting_keys.remove(key);
        }
    }
}

/// Returns the ordering keys of events, each as often as it comes.
fn keys(events: &[Routed]) -> impl Iterator<Item = &str> {
    events.iter().filter_map(Routed::key)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::OffsetDateTime;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::{Commits, EVENTS_MAX, PublishRequest};
    use crate::delivery::{Route, Routed};
    use crate::envelope::{Envelope, Metadata, Payload};

    fn request(events: usize, key: Option<&str>) -> PublishRequest {
        let event = || Envelope {
            id: Uuid::now_v7(),
            event_type: "test.happened".into(),
            schema_version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
            metadata: Metadata { ordering_key: key.map(str::to_owned), ..Metadata::default() },
            payload: Payload::from_json("{}"),
        };
        let route = Arc::new(Route::none());
        let events =
            (0..events).map(|_| Routed { envelope: Arc::new(event()), route: Arc::clone(&route) }).collect();
        PublishRequest { events, ids_given: false, duplicates: Vec::new(), reply: oneshot::channel().0 }
    }

    fn waiting(one_writer: bool, requests: impl IntoIterator<Item = PublishRequest>) -> Commits {
        let mut commits = Commits::new(one_writer);
        requests.into_iter().for_each(|request| commits.wait(request));
        commits
    }

    fn singles(count: usize) -> impl Iterator<Item = PublishRequest> {
        (0..count).map(|_| request(1, None))
    }

    /// Begins a commit and returns its events.
    fn begin(commits: &mut Commits) -> Vec<Routed> {
        assert!(commits.may_persist(false));
        commits.begin().into_iter().flat_map(|(_, request)| request.events).collect()
    }

    #[test]
    fn a_second_commit_waits_until_it_is_as_large_as_the_first() {
        let mut commits = waiting(true, singles(3));
        let first = begin(&mut commits);
        assert_eq!((first.len(), commits.events_wanted()), (3, 3));
        singles(2).for_each(|request| commits.wait(request));
        assert!(!commits.may_persist(false));
        assert_eq!(commits.events_wanted(), 1);
        commits.wait(request(1, None));
        let second = begin(&mut commits);
        commits.wait(request(9, None));
        assert!(!commits.may_persist(false), "there are two");
        assert_eq!(commits.events_wanted(), usize::MAX);
        commits.persisted(&first);
        assert_eq!(begin(&mut commits).len(), 9);
        commits.persisted(&second);
        assert_eq!((commits.persisting, commits.persisting_events), (1, 9));
    }

    #[test]
    fn many_that_wait_are_divided_where_the_store_makes_two_commits_at_once() {
        let mut commits = waiting(false, singles(1_001));
        assert_eq!(begin(&mut commits).len(), 500);
        assert_eq!(begin(&mut commits).len(), 501);
        assert_eq!(begin(&mut waiting(true, singles(1_001))).len(), 1_001);
        assert_eq!(begin(&mut waiting(false, singles(EVENTS_MAX * 3))).len(), EVENTS_MAX);
    }

    #[test]
    fn few_that_come_behind_many_go_with_them() {
        let mut commits = waiting(false, [request(1_000, None)].into_iter().chain(singles(100)));
        assert_eq!(begin(&mut commits).len(), 1_100);
    }

    #[test]
    fn an_event_overtakes_none_of_its_key() {
        let mut commits = waiting(false, [request(1, Some("a"))]);
        let first = begin(&mut commits);
        commits.wait(request(2, Some("b")));
        commits.wait(request(2, Some("a")));
        let second = begin(&mut commits);
        assert_eq!(second.len(), 2, "the key of the first commit stays behind");
        commits.persisted(&second);
        assert!(!commits.may_persist(false));
        assert_eq!(commits.events_wanted(), usize::MAX);
        commits.persisted(&first);
        assert_eq!(begin(&mut commits).len(), 2);
    }
}
