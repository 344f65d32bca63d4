//! Builds workers, gives each a thread, and moves the innocent away from a thread
//! that a handler blocks.
//!
//! `actix::Supervisor` keeps a panicked actor's struct and dies with its panic,
//! so workers are spawned linked instead: their end is seen through the handle
//! of the task that runs them, and a new worker is made by the module's factory.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Addr, AsyncContext, Context};
use actix_rt::ArbiterHandle;

use crate::broker::Input;
use crate::catalogue::TypeInfo;
use crate::ledger::{FlightId, ModuleId, WorkerEnd, WorkerId};
use crate::module::ModuleOptions;
use crate::services::Services;
use crate::worker::guard::{Marker, caught, panic_message};
use crate::worker::run::Limiter;
use crate::worker::{Factory, Host, Retire, Worker, factory_failed};

/// How often a thread shows that it still turns.
const PULSE_EVERY: Duration = Duration::from_millis(250);
/// A thread silent for this long, inside a handler, is blocked by it.
const SILENT_MAX: Duration = Duration::from_millis(2_500);

/// A module as it was registered: what every worker of it is built from.
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) options: ModuleOptions,
    pub(crate) types: Vec<TypeInfo>,
    pub(crate) factory: Factory,
    pub(crate) limiter: Option<Limiter>,
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}

/// A thread that runs workers.
struct Thread {
    arbiter: ArbiterHandle,
    /// Milliseconds since the bus started at which the thread last turned.
    pulse: Arc<AtomicU64>,
    /// The module that has the thread for itself.
    owner: Option<ModuleId>,
    /// A handler holds it and was given up.
    abandoned: bool,
}

/// A worker and where it runs.
struct Placed {
    thread: usize,
    marker: Arc<Marker>,
    addr: Option<Addr<Worker>>,
    timeout: Duration,
}

/// A worker that lost its thread.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) worker: WorkerId,
    pub(crate) end: WorkerEnd,
    pub(crate) culprit: Option<(FlightId, u32)>,
}

/// Where the workers run.
pub(crate) struct Supervisor {
    services: Arc<Services>,
    shared_threads: usize,
    threads: Vec<Thread>,
    workers: HashMap<WorkerId, Placed>,
}

impl Supervisor {
    /// Makes a supervisor that shares `shared_threads` threads among all modules without one of their own.
    pub(crate) fn new(services: Arc<Services>, shared_threads: usize) -> Self {
        Self { services, shared_threads: shared_threads.max(1), threads: Vec::new(), workers: HashMap::new() }
    }

    /// Builds a worker; it says itself when it is ready, or that its factory failed.
    pub(crate) fn build(&mut self, id: WorkerId, definition: &Definition) -> io::Result<()> {
        let thread = self.place(id.module, definition.options.own_thread)?;
        let marker = Arc::new(Marker::default());
        let host = Arc::new(Host {
            id,
            name: Arc::clone(&definition.name),
            services: Arc::clone(&self.services),
            timeout: definition.options.timeout,
            sharing: definition.options.sharing(),
            ordered: definition.options.order != crate::delivery::KeyOrder::Unordered,
            limiter: definition.limiter.clone(),
            marker: Arc::clone(&marker),
        });
        let placed = Placed { thread, marker, addr: None, timeout: definition.options.timeout };
        self.workers.insert(id, placed);
        let factory = Arc::clone(&definition.factory);
        self.threads[thread].arbiter.spawn_fn(move || {
            drop(actix_rt::spawn(live(host, factory)));
        });
        Ok(())
    }

    /// Notes the address of a worker that is ready.
    pub(crate) fn ready(&mut self, id: WorkerId, addr: Addr<Worker>) {
        if let Some(placed) = self.workers.get_mut(&id) {
            placed.addr = Some(addr);
        }
    }

    pub(crate) fn address(&self, id: WorkerId) -> Option<&Addr<Worker>> {
        self.workers.get(&id)?.addr.as_ref()
    }

    /// Forgets the workers whose place `id` takes.
    pub(crate) fn forget_predecessors(&mut self, id: WorkerId) {
        self.workers.retain(|known, _| (known.module, known.index) != (id.module, id.index));
    }

    /// Lets all workers of `module` end once they are idle, and returns which they were.
    #[expect(clippy::disallowed_methods, reason = "sent once in a worker's life")]
    pub(crate) fn retire(&mut self, module: ModuleId) -> Vec<WorkerId> {
        let retired: Vec<(WorkerId, Placed)> = self.workers.extract_if(|id, _| id.module == module).collect();
        for (_, placed) in &retired {
            if let Some(addr) = &placed.addr {
                addr.do_send(Retire);
            }
        }
        retired.into_iter().map(|(id, _)| id).collect()
    }

    /// Returns whether a handler of `module` holds its thread right now, silently for long.
    pub(crate) fn is_blocking(&self, module: ModuleId) -> bool {
        let now = self.services.runtime.uptime();
        self.workers.iter().any(|(id, placed)| {
            id.module == module
                && placed.marker.polling().is_some()
                && self.threads[placed.thread].silent_for(now) > SILENT_MAX
        })
    }

    /// Finds threads that a handler blocks. The culprit keeps its thread, until its
    /// timeout; the others lose it and are to be built anew elsewhere.
    pub(crate) fn watch(&mut self) -> Vec<Lost> {
        let now = self.services.runtime.uptime();
        let silent: Vec<usize> = (0..self.threads.len())
            .filter(|&thread| {
                !self.threads[thread].abandoned && self.threads[thread].silent_for(now) > SILENT_MAX
            })
            .collect();
        silent.into_iter().flat_map(|thread| self.isolate(thread, now)).collect()
    }

    fn isolate(&mut self, thread: usize, now: Duration) -> Vec<Lost> {
        let on_thread = |placed: &Placed| placed.thread == thread;
        let culprit = self
            .workers
            .iter()
            .filter(|(_, placed)| on_thread(placed))
            .find_map(|(id, placed)| Some((*id, placed.marker.polling()?, placed.timeout)));
        let Some((culprit, delivery, timeout)) = culprit else {
            return Vec::new();
        };
        if self.threads[thread].owner != Some(culprit.module) {
            tracing::error!(
                ?culprit,
                "a handler blocks its thread; it keeps the thread, the modules that shared it move"
            );
            self.threads[thread].owner = Some(culprit.module);
        }
        let mut lost: Vec<Lost> = self
            .workers
            .iter()
            .filter(|(id, placed)| on_thread(placed) && **id != culprit)
            .map(|(id, _)| Lost { worker: *id, end: WorkerEnd::Collateral, culprit: None })
            .collect();
        if self.threads[thread].silent_for(now) > timeout {
            self.threads[thread].abandoned = true;
            lost.push(Lost { worker: culprit, end: WorkerEnd::Blocked, culprit: Some(delivery) });
        }
        lost
    }

    fn place(&mut self, module: ModuleId, own_thread: bool) -> io::Result<usize> {
        let owner = own_thread.then_some(module);
        let candidates = self.threads_of(owner);
        let enough = if own_thread { usize::MAX } else { self.shared_threads };
        match candidates.iter().copied().min_by_key(|thread| self.load(*thread)) {
            Some(thread) if candidates.len() >= enough || (own_thread && self.load(thread) == 0) => {
                Ok(thread)
            }
            _ => self.start_thread(owner),
        }
    }

    fn threads_of(&self, owner: Option<ModuleId>) -> Vec<usize> {
        let turns = |thread: &usize| self.threads[*thread].owner == owner && !self.threads[*thread].abandoned;
        (0..self.threads.len()).filter(turns).collect()
    }

    fn load(&self, thread: usize) -> usize {
        self.workers.values().filter(|placed| placed.thread == thread).count()
    }

    fn start_thread(&mut self, owner: Option<ModuleId>) -> io::Result<usize> {
        let arbiter = self.services.runtime.new_arbiter()?;
        let pulse = Arc::new(AtomicU64::new(millis(self.services.runtime.uptime())));
        let (beat, services) = (Arc::clone(&pulse), Arc::clone(&self.services));
        arbiter.spawn(async move {
            loop {
                tokio::time::sleep(PULSE_EVERY).await;
                beat.store(millis(services.runtime.uptime()), Ordering::Relaxed);
            }
        });
        self.threads.push(Thread { arbiter, pulse, owner, abandoned: false });
        Ok(self.threads.len() - 1)
    }
}

impl Thread {
    fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.pulse.load(Ordering::Relaxed)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Runs a worker to its end, on its thread, and tells the broker if it died of a panic.
async fn live(host: Arc<Host>, factory: Factory) {
    let state = match caught(|| factory()) {
        Ok(state) => state,
        Err(message) => return factory_failed(&host, &message),
    };
    let ctx = Context::<Worker>::new();
    let ready = Input::WorkerReady(host.id, ctx.address());
    let life = ctx.into_future(Worker::new(Arc::clone(&host), state));
    host.services.inbox.push(ready);
    if let Err(error) = actix_rt::spawn(life).await
        && let Ok(panic) = error.try_into_panic()
    {
        host.services
            .inbox
            .push(Input::WorkerDied { worker: host.id, message: panic_message(panic.as_ref()) });
    }
}
