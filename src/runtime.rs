//! Where everything runs: one tokio runtime, one actix system, a few arbiters.
//!
//! The bus owns its threads, so it works the same from `#[tokio::main]`,
//! `#[actix::main]` and a plain thread, and no database connection outlives the
//! reactor that it was made on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle, System};
use tokio::runtime::{Builder, Handle, Runtime as Tokio};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The bus's threads. Cheap to clone; see [`Runtime::stop`].
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    tokio: Handle,
    system: System,
    requests: tokio::sync::mpsc::UnboundedSender<ArbiterRequest>,
    started: Instant,
    /// Microseconds by which a test has moved the actors' clock ahead.
    #[cfg(feature = "testing")]
    ahead: Arc<std::sync::atomic::AtomicU64>,
}

type ArbiterRequest = std::sync::mpsc::Sender<io::Result<ArbiterHandle>>;

/// How long threads that will not end are waited for.
const LINGER: Duration = Duration::from_millis(500);

impl Runtime {
    pub(crate) fn start() -> io::Result<Self> {
        let (ready, answer) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("stentor".to_owned()).spawn(move || run_system(&ready))?;
        answer.recv().unwrap_or_else(|_| Err(io::Error::other("the bus's thread ended while starting")))
    }

    /// Starts a thread for actors.
    pub(crate) fn new_arbiter(&self) -> io::Result<ArbiterHandle> {
        let gone = || io::Error::other("the bus's threads have stopped");
        let (reply, answer) = std::sync::mpsc::channel();
        self.requests.send(reply).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Spawns a task on the bus's own runtime, where no caller can cancel it.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tokio.spawn(future)
    }

    /// Spawns a task on the actor's thread that this is called on: no other thread has to wake up for it.
    pub(crate) fn spawn_here(&self, future: impl Future<Output = ()> + 'static) {
        let future = Some(Box::pin(future));
        drop(actix_rt::spawn(Within { runtime: self.tokio.clone(), future }));
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.tokio
    }

    /// Returns the time since the bus started: the only clock that the ledger is told.
    pub(crate) fn now(&self) -> Duration {
        #[cfg(feature = "testing")]
        let ahead = Duration::from_micros(self.ahead.load(std::sync::atomic::Ordering::Relaxed));
        #[cfg(not(feature = "testing"))]
        let ahead = Duration::ZERO;
        self.uptime() + ahead
    }

    /// Returns how long the bus has really run, whatever a test did to [`Runtime::now`]: the clock of
    /// whoever watches threads.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Moves [`Runtime::now`] forward.
    #[cfg(feature = "testing")]
    pub(crate) fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(micros, std::sync::atomic::Ordering::Relaxed);
    }

    /// Ends all threads. One that is blocked by a handler is left behind.
    pub(crate) fn stop(&self) {
        self.system.stop();
    }
}

/// A future that is dropped within the runtime, as its connections need one to go back to their pool.
struct Within<F> {
    runtime: Handle,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future<Output = ()>> Future for Within<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().map_or(Poll::Ready(()), |future| future.as_mut().poll(cx))
    }
}

impl<F> Drop for Within<F> {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.future.take());
    }
}

fn run_system(ready: &std::sync::mpsc::Sender<io::Result<Runtime>>) {
    let tokio = match Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
        .thread_name("stentor-io")
        .enable_all()
        .build()
    {
        Ok(tokio) => Arc::new(tokio),
        Err(error) => {
            ready.send(Err(error)).ok();
            return;
        }
    };
    let shared = Arc::clone(&tokio);
    let runner = System::with_tokio_rt(move || shared);
    let (requests, mut asked) = tokio::sync::mpsc::unbounded_channel::<ArbiterRequest>();
    let for_arbiters = Arc::clone(&tokio);
    System::current().arbiter().spawn(async move {
        while let Some(reply) = asked.recv().await {
            reply.send(start_arbiter(&for_arbiters)).ok();
        }
    });
    let runtime = Runtime {
        tokio: tokio.handle().clone(),
        system: System::current(),
        requests,
        started: Instant::now(),
        #[cfg(feature = "testing")]
        ahead: Arc::default(),
    };
    ready.send(Ok(runtime)).ok();
    if let Err(error) = runner.run() {
        tracing::error!(%error, "the bus's actor system ended with an error");
    }
    if let Some(tokio) = Arc::into_inner(tokio) {
        Tokio::shutdown_timeout(tokio, LINGER);
    }
}

fn start_arbiter(tokio: &Arc<Tokio>) -> io::Result<ArbiterHandle> {
    let tokio = Arc::clone(tokio);
    Arbiter::try_with_tokio_rt(move || Ok(tokio)).map(|arbiter| arbiter.handle())
}
