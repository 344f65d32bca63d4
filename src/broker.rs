//! The broker: the one actor that knows what is owed to whom.
//!
//! It owns the ledger and decides nothing itself: every input goes to the
//! ledger, and what the ledger answers is carried out. Statements run in tasks
//! and come back as inputs, so the broker never waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::delivery::{ClaimRequest, Routed};
use crate::inbox::Wake;
use crate::ledger::{Ledger, ModuleId, Report, WorkerEnd, WorkerId};
use crate::publication::PublishError;
use crate::services::Services;
use crate::store::{ClaimBatch, Poll, StoreError, Transaction};
use crate::supervisor::{Definition, Supervisor};
use crate::worker::{Assignment, Worker};

mod claims;
mod commits;
mod control;
mod watches;

pub(crate) use commits::{Committed, EventsCommitted};
pub(crate) use control::{Control, Lease};

use commits::Commits;
use control::Phase;
use watches::Watches;

/// How often the broker looks at what only time can change, and at what has been too little to wake it.
const TICK: Duration = Duration::from_millis(50);

/// Everything that reaches the broker.
pub(crate) enum Input {
    Publish(PublishRequest),
    CommitEvents(CommitEvents),
    Committed(Box<Committed>),
    EventsCommitted(Box<EventsCommitted>),
    Report(Report),
    WorkerReady(WorkerId, Addr<Worker>),
    WorkerDied {
        worker: WorkerId,
        message: String,
    },
    Build(WorkerId),
    Polled {
        poll: Poll,
        /// How many pauses and resumptions this look may have seen.
        pauses: u64,
    },
    Claimed {
        module: ModuleId,
        request: ClaimRequest,
        result: Result<ClaimBatch, StoreError>,
    },
    Finished(Vec<Uuid>),
    /// Somebody else wrote rows: an adoption, or events from outside.
    RowsAppeared,
    /// What became of a doubtful commit is known; its guard may go.
    Rescued(i64),
    Watch {
        id: Uuid,
        reply: oneshot::Sender<()>,
    },
    LowWater(oneshot::Sender<i64>),
    Control(Control),
}

/// Events of one publisher that become durable together.
pub(crate) struct PublishRequest {
    pub(crate) events: Vec<Routed>,
    /// The publisher chose ids, so some may have been stored before.
    pub(crate) ids_given: bool,
    /// Events of the request that turned out to be stored before.
    pub(crate) duplicates: Vec<Uuid>,
    pub(crate) reply: oneshot::Sender<Result<Stored, PublishError>>,
}

/// What became of a publish request.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Events that were stored before, with the same content.
    pub(crate) duplicates: Vec<Uuid>,
}

/// Events that are stored in a transaction that somebody else opened and wrote to.
pub(crate) struct CommitEvents {
    pub(crate) transaction: Transaction,
    pub(crate) events: Vec<Routed>,
    pub(crate) reply: oneshot::Sender<Result<(), StoreError>>,
}

/// The actor.
pub(crate) struct Broker {
    services: Arc<Services>,
    ledger: Ledger,
    supervisor: Supervisor,
    modules: HashMap<ModuleId, Definition>,
    commits: Commits,
    watches: Watches,
    phase: Phase,
    spare: Vec<Input>,
}

impl Broker {
    pub(crate) fn new(services: Arc<Services>, ledger: Ledger, supervisor: Supervisor) -> Self {
        Self {
            commits: Commits::new(services.store.has_one_writer()),
            services,
            ledger,
            supervisor,
            modules: HashMap::new(),
            watches: Watches::default(),
            phase: Phase::Running,
            spare: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        self.services.runtime.now()
    }

    /// Takes in what has arrived, and carries out what follows from it.
    fn turn(&mut self) {
        let spare = std::mem::take(&mut self.spare);
        let mut inputs = self.services.inbox.take(spare);
        for input in inputs.drain(..) {
            self.apply(input);
        }
        self.spare = inputs;
        self.flush();
        // An event that comes now and could not be committed yet is no reason to wake up.
        let enough = if self.phase.refuses_events() { 1 } else { self.events_wanted() };
        self.services.inbox.set_enough(enough);
        #[cfg(feature = "testing")]
        self.services.progress.stir();
    }

    fn apply(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Publish(request) => self.publish(request),
            Input::CommitEvents(request) => self.commit_events(request),
            Input::Committed(committed) => self.committed(*committed),
            Input::EventsCommitted(committed) => self.events_committed(*committed),
            Input::Report(report) => self.ledger.report(now, report),
            Input::WorkerReady(worker, addr) => {
                self.supervisor.ready(worker, addr);
                self.ledger.worker_ready(now, worker);
            }
            Input::WorkerDied { worker, message } => {
                tracing::error!(?worker, message, "worker died of a panic outside its handler");
                self.ledger.worker_ended(now, worker, WorkerEnd::Panicked, None);
            }
            Input::Build(worker) => self.build(worker),
            Input::Polled { poll, pauses } => self.polled(&poll, pauses),
            Input::Claimed { module, request, result } => self.claimed(module, &request, result),
            Input::Finished(ids) => self.looked_up(&ids),
            Input::Rescued(guard) => self.rescued(guard),
            Input::RowsAppeared => self.ledger.rows_appeared(now),
            Input::Watch { id, reply } => self.watch(id, reply),
            Input::LowWater(reply) => {
                reply.send(self.ledger.low_water()).ok();
            }
            Input::Control(control) => self.control(control),
        }
    }

    /// Carries out what the ledger decided.
    fn flush(&mut self) {
        let now = self.now();
        for rebuild in self.ledger.take_rebuilds() {
            self.rebuild(rebuild.worker, rebuild.delay);
        }
        self.dispatch(now);
        for dead in self.ledger.take_dead() {
            self.report_dead(dead);
        }
        self.start_commits();
        self.start_claims(now);
        self.look_up();
        self.advance_shutdown(now);
    }

    fn dispatch(&mut self, now: Duration) {
        for dispatch in self.ledger.take_dispatches(now) {
            let worker = dispatch.worker;
            match self.supervisor.address(worker) {
                Some(addr) => send(addr, Assignment(dispatch)),
                // The worker is gone; its end is on its way here.
                None => self.ledger.worker_ended(now, worker, WorkerEnd::Collateral, None),
            }
        }
    }

    fn rebuild(&mut self, worker: WorkerId, delay: Duration) {
        if delay.is_zero() {
            return self.build(worker);
        }
        let services = Arc::clone(&self.services);
        drop(self.services.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            services.inbox.push(Input::Build(worker));
        }));
    }

    fn build(&mut self, worker: WorkerId) {
        self.supervisor.forget_predecessors(worker);
        let Some(definition) = self.modules.get(&worker.module) else {
            return;
        };
        if let Err(error) = self.supervisor.build(worker, definition) {
            tracing::error!(module = &*definition.name, %error, "no thread for a worker could be started");
            self.ledger.worker_ended(self.now(), worker, WorkerEnd::FactoryFailed, None);
        }
    }

    /// Whoever still asks is told that the bus has stopped: their questions go, and with them the way to answer.
    fn hear_no_more(&self) {
        // Transactions among them give their connections back, which takes the runtime.
        let _entered = self.services.runtime.handle().enter();
        drop(self.services.inbox.close());
    }

    fn watch_threads(&mut self) {
        let now = self.now();
        for lost in self.supervisor.watch() {
            self.ledger.worker_ended(now, lost.worker, lost.end, lost.culprit);
        }
    }
}

/// Sends to an actor whose mailbox is bounded by the protocol.
#[expect(
    clippy::disallowed_methods,
    reason = "one dispatch at a time is under way per worker, so its mailbox stays small"
)]
fn send(addr: &Addr<Worker>, assignment: Assignment) {
    addr.do_send(assignment);
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.hear_no_more();
    }
}

impl Actor for Broker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.services.inbox.open(ctx.address().recipient());
        ctx.run_interval(TICK, |broker, _| {
            broker.watch_threads();
            broker.turn();
        });
    }
}

impl Handler<Wake> for Broker {
    type Result = ();

    fn handle(&mut self, _: Wake, _: &mut Self::Context) {
        self.turn();
    }
}
