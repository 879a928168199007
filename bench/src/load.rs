//! A run: its plan, its threads, its end.
//!
//! Open loop by default: requests are due when the plan says, whatever the server does, and one
//! that finds no free connection waits, and its waiting counts (no coordinated omission). One
//! request at a time is under way on a connection; none is ever sent twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::Engine;
use crate::{Outcome, Requests, Seed};

/// When requests are due, all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// As soon as a connection is free.
    Closed,
    /// So many a second, evenly.
    Constant(f64),
    /// So many a second, each independent of the others, as many people's clicks are.
    Poisson(f64),
}

/// What to do when the server takes no connection any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenGone {
    /// Give that connection up; with the last of them the run ends.
    End,
    /// Try again every few milliseconds, until the run ends by itself.
    Reconnect,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Connections, all threads together.
    pub connections: usize,
    /// Threads; never more than connections.
    pub threads: usize,
    /// When requests are due.
    pub arrivals: Arrivals,
    /// No request is due later than this.
    pub duration: Option<Duration>,
    /// No more requests than this.
    pub total: Option<u64>,
    /// The first request's id: a run that goes on where another ended has ids of its own, and
    /// their oracles can be added.
    pub first_id: u64,
    /// What arrivals follow from.
    pub seed: Seed,
    /// How long after the last is due, or the stop, requests may still be sent and answered.
    pub drain: Duration,
    /// What a server that goes away means.
    pub when_gone: WhenGone,
    /// Whether to note what became of each id.
    pub oracle: bool,
    /// Whether to note when each id was answered.
    pub times: bool,
}

impl Plan {
    /// One thread, 64 connections, closed loop, until it is stopped, with an oracle; a server that
    /// goes ends it.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: 64,
            threads: 1,
            arrivals: Arrivals::Closed,
            duration: None,
            total: None,
            first_id: 0,
            seed: Seed(0),
            drain: Duration::from_secs(2),
            when_gone: WhenGone::End,
            oracle: true,
            times: false,
        }
    }

    pub(crate) fn threads_used(&self) -> u64 {
        self.threads.clamp(1, self.connections.max(1)) as u64
    }

    /// Connections of one thread.
    pub(crate) fn connections_of(&self, thread: u64) -> usize {
        let (threads, all) = (self.threads_used(), self.connections.max(1) as u64);
        let own = all / threads + u64::from(thread < all % threads);
        usize::try_from(own).unwrap_or(1)
    }

    fn check(&self) -> Result<(), LoadError> {
        match self.arrivals {
            Arrivals::Constant(rate) | Arrivals::Poisson(rate)
                if !(rate.is_finite() && rate > 0.0) =>
            {
                Err(LoadError::Rate(rate))
            }
            _ => Ok(()),
        }
    }
}

/// The load could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A rate must be positive.
    #[error("{0} requests a second is no rate")]
    Rate(f64),
    /// The server is not there at the start.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The system refuses a poll, a timer or a thread.
    #[error("the generator cannot run")]
    System(#[from] std::io::Error),
    /// A thread of the generator, or the maker of its requests, panicked.
    #[error("a thread of the generator panicked")]
    Panicked,
}

/// Runs a plan to its end, which `stop` brings forward.
///
/// # Errors
/// See [`LoadError`]; a server that fails later is not one, but counted.
pub fn run(plan: &Plan, requests: &dyn Requests, stop: &AtomicBool) -> Result<Outcome, LoadError> {
    plan.check()?;
    let one = |thread| Engine::connect(plan, thread, requests, stop)?.run();
    let outcomes = std::thread::scope(|scope| {
        let others: Vec<_> = (1..plan.threads_used())
            .map(|thread| {
                let named = std::thread::Builder::new().name(format!("load-{thread}"));
                named.spawn_scoped(scope, move || one(thread))
            })
            .collect();
        let mut outcomes = vec![one(0)];
        for other in others {
            let joined = other.map(|thread| thread.join().map_err(|_| LoadError::Panicked));
            outcomes.push(match joined {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panicked)) => Err(panicked),
                Err(error) => Err(error.into()),
            });
        }
        outcomes
    });
    let mut all = Outcome::default();
    for outcome in outcomes {
        all.add(outcome?);
    }
    Ok(all)
}

/// A run in the background.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Outcome, LoadError>>,
}

impl Running {
    /// Starts a plan on threads of its own.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(plan: Plan, requests: impl Requests + 'static) -> Result<Self, LoadError> {
        let stop = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("load-0".to_owned())
            .spawn(move || run(&plan, &requests, &heard))?;
        Ok(Self { stop, thread })
    }

    /// The flag that ends the run: no new requests, answers are awaited for the plan's `drain`.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Sets that flag.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// See [`run`].
    pub fn join(self) -> Result<Outcome, LoadError> {
        self.thread.join().map_err(|_| LoadError::Panicked)?
    }
}
