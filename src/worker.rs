//! A worker: the actor that holds one value of a module and runs its deliveries.
//!
//! A worker *takes* its module's state, runs handlers, and *puts it back* only
//! when it may be trusted: after a panic, a timeout or a run of failures the
//! state is dropped and the worker ends, to be built anew by its supervisor.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use crate::broker::Input;
use crate::delivery::{Failure, FailureKind};
use crate::ledger::{Dispatch, Exception, Outcome, Report, Rest, Segment, Span, WorkerEnd, WorkerId};
use crate::module::{self, Module};
use crate::services::Services;

pub(crate) mod commit;
pub(crate) mod guard;
pub(crate) mod run;
mod shared;

use guard::{Marker, caught};
use run::{Limiter, Run, RunFuture, Tally};
#[cfg(feature = "testing")]
pub(crate) use shared::failure_of;

/// How long answers of a dispatch in progress are held before they are reported.
const REPORT_AFTER: Duration = Duration::from_millis(5);

/// Where a worker runs and what it may use.
pub(crate) struct Host {
    pub(crate) id: WorkerId,
    pub(crate) name: Arc<str>,
    pub(crate) services: Arc<Services>,
    pub(crate) timeout: Duration,
    /// Deliveries that may share a transaction.
    pub(crate) sharing: u32,
    pub(crate) ordered: bool,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) marker: Arc<Marker>,
}

impl Host {
    /// Reports what is answered so far, so that slow neighbours do not delay the first ones' acks.
    fn report_progress(&self, tally: &mut Tally) {
        let now = self.services.runtime.now();
        if now.saturating_sub(tally.reported_at) >= REPORT_AFTER {
            tally.reported_at = now;
            self.report(tally, Rest::More);
        }
    }

    fn report(&self, tally: &mut Tally, rest: Rest) {
        self.services.inbox.push(Input::Report(Report {
            worker: self.id,
            done: std::mem::take(&mut tally.done),
            exceptions: std::mem::take(&mut tally.exceptions),
            rest,
        }));
    }
}

/// A module's state with its handlers, its type erased.
pub(crate) trait Hosted {
    /// Runs `segment` through the handler of its type; `None` if the module has none.
    fn run<'a>(
        &'a mut self,
        host: &'a Host,
        segment: &'a Segment,
        tally: &'a mut Tally,
    ) -> Option<RunFuture<'a>>;
}

/// A value of the module `M` in its worker.
pub(crate) struct HostedModule<M> {
    pub(crate) module: M,
    pub(crate) handlers: Arc<[module::Handler<M>]>,
}

impl<M: Module> Hosted for HostedModule<M> {
    fn run<'a>(
        &'a mut self,
        host: &'a Host,
        segment: &'a Segment,
        tally: &'a mut Tally,
    ) -> Option<RunFuture<'a>> {
        let event_type = &*segment.events.first()?.event_type;
        let handler = self.handlers.iter().find(|handler| handler.info.event_type == event_type)?;
        let run = Run::new(host, segment, handler.info, tally);
        Some((handler.run)(&mut self.module, run))
    }
}

/// Makes a module's state; called on the thread where the worker will run.
pub(crate) type Factory = Arc<dyn Fn() -> Box<dyn Hosted> + Send + Sync>;

/// The actor.
pub(crate) struct Worker {
    host: Arc<Host>,
    state: Option<Box<dyn Hosted>>,
    tally: Tally,
}

impl Worker {
    pub(crate) fn new(host: Arc<Host>, state: Box<dyn Hosted>) -> Self {
        Self { host, state: Some(state), tally: Tally::default() }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        discard(self.state.take(), &self.host.name);
    }
}

/// Deliveries for a worker. One dispatch at a time is under way.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Assignment(pub(crate) Dispatch);

impl Handler<Assignment> for Worker {
    type Result = ();

    fn handle(&mut self, Assignment(dispatch): Assignment, ctx: &mut Self::Context) {
        let Some(state) = self.state.take() else {
            return ctx.stop();
        };
        let host = Arc::clone(&self.host);
        let tally = std::mem::take(&mut self.tally);
        let work = work_through(host, state, tally, dispatch.segments);
        ctx.wait(work.into_actor(self).map(|(state, tally), worker, ctx| {
            worker.tally = tally;
            worker.state = state;
            if worker.state.is_none() {
                ctx.stop();
            }
        }));
    }
}

/// Ends a worker whose module is restarted or removed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

impl Handler<Retire> for Worker {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// Runs all segments and gives the state back, unless it may no longer be trusted.
async fn work_through(
    host: Arc<Host>,
    mut state: Box<dyn Hosted>,
    mut tally: Tally,
    segments: Vec<Segment>,
) -> (Option<Box<dyn Hosted>>, Tally) {
    tally.start_dispatch(host.services.runtime.now());
    for segment in &segments {
        if tally.end.is_some() {
            break;
        }
        let handled = match state.run(&host, segment, &mut tally) {
            Some(run) => {
                run.await;
                true
            }
            None => false,
        };
        if !handled {
            refuse(&host, segment, &mut tally);
        }
    }
    // The references go before the report: the broker may free what they point to.
    drop(segments);
    let Some(end) = tally.end.take() else {
        host.report(&mut tally, Rest::Finished);
        return (Some(state), tally);
    };
    discard(Some(state), &host.name);
    host.report(&mut tally, Rest::Ended(end));
    (None, tally)
}

/// Parks a segment that the module no longer has a handler for.
fn refuse(host: &Host, segment: &Segment, tally: &mut Tally) {
    let event_type = segment.events.first().map_or("", |event| &*event.event_type);
    let message = format!("module {} has no handler for {event_type} in this build", host.name);
    tracing::error!(module = &*host.name, event_type, "{message}");
    for index in segment.from..segment.to {
        tally.exceptions.push(Exception {
            flight: segment.flight,
            index,
            outcome: Outcome::Failed(Failure { kind: FailureKind::Fatal, message: message.clone() }),
        });
    }
    tally.done.push(Span { flight: segment.flight, from: segment.from, to: segment.to });
}

/// Drops a module's state; a panic in its `Drop` ends here.
fn discard(state: Option<Box<dyn Hosted>>, module: &str) {
    if let Err(message) = caught(|| drop(state)) {
        tracing::error!(module, message, "module panicked while its state was dropped");
    }
}

/// Tells the broker that no state could be made.
pub(crate) fn factory_failed(host: &Host, message: &str) {
    tracing::error!(module = &*host.name, message, "module's factory panicked");
    host.report(&mut Tally::default(), Rest::Ended(WorkerEnd::FactoryFailed));
}
