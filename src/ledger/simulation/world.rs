//! One world: its clock, what is going to happen, and how it is set up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::super::{Ledger, ModuleId, ModuleSpec, Report, WorkerId};
use super::broker::{Broker, Operation};
use super::checks::Witness;
use super::store::{ModelStore, Node};
use super::workers::SimWorker;
use crate::breaker::BreakerPolicy;
use crate::delivery::{KeyOrder, Route};
use crate::retry::RetryPolicy;

/// A world that has not come to rest by then is stuck.
const HAPPENINGS_MAX: u32 = 60_000;

/// Something that is going to happen.
pub(super) enum Happening {
    Publish,
    /// A statement takes effect in the store.
    Effect(u32),
    /// The broker hears of it.
    Reply(u32),
    /// What a doubtful commit stored becomes rows, and the low-water mark may go on.
    Rescue(Vec<i64>, i64),
    Build(WorkerId),
    Ready(WorkerId),
    Work(WorkerId),
    Report(Report, Vec<(Arc<str>, i64)>),
    Poll,
    Beat,
    Fault,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) trace: bool,
    pub(super) now: Duration,
    /// Counts what has happened, so that before and after are exact.
    pub(super) steps: u32,
    agenda: BinaryHeap<Reverse<(Duration, u32)>>,
    happenings: BTreeMap<u32, (Node, Happening)>,
    scheduled: u32,
    pub(super) node: Node,
    pub(super) ledger: Ledger,
    pub(super) broker: Broker,
    pub(super) operations: BTreeMap<u32, Operation>,
    pub(super) workers: BTreeMap<(ModuleId, u32), SimWorker>,
    pub(super) hosted: BTreeMap<ModuleId, Arc<str>>,
    pub(super) specs: Vec<ModuleSpec>,
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) keys: u32,
    pub(super) store: ModelStore,
    pub(super) low_water: i64,
    pub(super) next_seq: i64,
    pub(super) published: u32,
    /// Events that are yet to be published.
    pub(super) to_publish: u32,
    /// Faults that are yet to come; when there are none, handlers succeed.
    pub(super) faults_left: u32,
    pub(super) failure_rate: f64,
    pub(super) witness: Witness,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let specs = specs(&mut rng);
        let routes = routes(&mut rng, &specs);
        let one_writer = rng.bool();
        let ledger = new_ledger(&mut rng, 1);
        let mut world = Self {
            trace,
            now: Duration::ZERO,
            steps: 0,
            agenda: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            scheduled: 0,
            node: 1,
            ledger,
            broker: Broker::new(one_writer),
            operations: BTreeMap::new(),
            workers: BTreeMap::new(),
            hosted: BTreeMap::new(),
            specs,
            routes,
            keys: rng.u32(1..5),
            store: ModelStore::default(),
            low_water: 1,
            next_seq: 1,
            published: 0,
            to_publish: rng.u32(5..60),
            faults_left: rng.u32(0..14),
            failure_rate: [0.0, 0.05, 0.2, 0.5, 0.9][rng.usize(0..5)],
            witness: Witness::default(),
            rng,
        };
        world.start_node();
        world.schedule(Duration::ZERO, Happening::Publish);
        world.schedule(Duration::ZERO, Happening::Fault);
        world
    }

    /// Lets everything happen, until the world is at rest.
    pub(super) fn run(mut self) {
        while !self.is_at_rest() {
            let Some(Reverse((at, number))) = self.agenda.pop() else {
                panic!("nothing is going to happen any more, and not everything is done");
            };
            let Some((node, happening)) = self.happenings.remove(&number) else {
                continue;
            };
            self.now = at;
            self.steps += 1;
            assert!(self.steps < HAPPENINGS_MAX, "the world does not come to rest");
            if node == self.node || matches!(happening, Happening::Publish | Happening::Fault) {
                self.happen(happening);
                self.flush();
                self.check_memory();
            }
        }
        self.check_the_end();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Publish => self.publish(),
            Happening::Effect(operation) => self.take_effect(operation),
            Happening::Reply(operation) => self.reply(operation),
            Happening::Rescue(seqs, mark) => self.rescue(&seqs, mark),
            Happening::Build(worker) => self.build(worker),
            Happening::Ready(worker) => self.ledger.worker_ready(self.now, worker),
            Happening::Work(worker) => self.work(worker),
            Happening::Report(report, good) => self.report(report, &good),
            Happening::Poll => self.poll(),
            Happening::Beat => self.beat(),
            Happening::Fault => self.fault(),
        }
    }

    /// Schedules something of this run of the node.
    pub(super) fn schedule(&mut self, delay: Duration, happening: Happening) {
        self.scheduled += 1;
        self.agenda.push(Reverse((self.now + delay, self.scheduled)));
        self.happenings.insert(self.scheduled, (self.node, happening));
    }

    /// Forgets what the node that just ended was going to do.
    pub(super) fn forget_node(&mut self) {
        self.happenings
            .retain(|_, (_, happening)| matches!(happening, Happening::Publish | Happening::Fault));
        self.operations.clear();
        self.workers.clear();
        self.hosted.clear();
    }

    pub(super) fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.rng.f64() < share
    }

    pub(super) fn spec_of(&self, id: ModuleId) -> &ModuleSpec {
        let name = &self.hosted[&id];
        self.specs.iter().find(|spec| spec.name == *name).expect("hosted modules have specs")
    }

    pub(super) fn id_of(&self, name: &str) -> Option<ModuleId> {
        self.hosted.iter().find(|(_, hosted)| ***hosted == *name).map(|(id, _)| *id)
    }

    pub(super) fn is_calm(&self) -> bool {
        self.faults_left == 0 && self.to_publish == 0
    }

    fn is_at_rest(&self) -> bool {
        self.is_calm()
            && self.operations.is_empty()
            && self.broker.is_idle()
            && self.store.events.values().all(|event| event.is_processed && event.owner.is_none())
            && self.hosted.len() == self.specs.len()
            && !self.has_dead_or_pending()
            && self.is_everybody_live()
            && self.ledger.is_drained()
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3} node {} {}", self.now.as_secs_f64(), self.node, what());
        }
    }
}

pub(super) fn new_ledger(rng: &mut Rng, start_seq: i64) -> Ledger {
    let mut jitter = rng.fork();
    Ledger::new(start_seq, Box::new(move || jitter.f64()))
}

fn specs(rng: &mut Rng) -> Vec<ModuleSpec> {
    let names = ["ats", "crm", "hr", "trikala"];
    let count = rng.usize(1..=names.len());
    names[..count].iter().map(|name| spec(rng, name)).collect()
}

fn spec(rng: &mut Rng, name: &str) -> ModuleSpec {
    ModuleSpec {
        name: Arc::from(name),
        workers: rng.u32(1..4),
        order: [KeyOrder::Unordered, KeyOrder::Ordered, KeyOrder::OrderedHoldingDead][rng.usize(0..3)],
        retry: RetryPolicy::new()
            .max_attempts(rng.u32(1..5))
            .initial_delay(Duration::from_millis(rng.u64(1..500)))
            .max_delay(Duration::from_secs(2)),
        breaker: BreakerPolicy::new()
            .min_calls(rng.u64(2..12))
            .open_for(Duration::from_millis(rng.u64(50..1_000)))
            .open_for_max(Duration::from_secs(3)),
        capacity: rng.u32(1..24),
        capacity_bytes: rng.usize(20..2_000),
        restart_limit: rng.usize(1..6),
        restart_window: Duration::from_secs(10),
    }
}

fn routes(rng: &mut Rng, specs: &[ModuleSpec]) -> Vec<Arc<Route>> {
    let types = rng.i64(1..4);
    let mut route = |id: i64| {
        let modules: BTreeSet<Arc<str>> =
            specs.iter().filter(|_| rng.u8(0..4) > 0).map(|spec| Arc::clone(&spec.name)).collect();
        Arc::new(Route {
            id,
            event_type: Arc::from(format!("course.happened_{id}")),
            modules: modules.into_iter().collect(),
        })
    };
    (0..types).map(&mut route).collect()
}
