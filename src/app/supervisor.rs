//! What the service manager is told, where one started the server (sd_notify(3)): that it serves,
//! reads its configuration again, stops, and that the threads which answer readers still turn; and
//! the signals by which it asks for a stop.
//!
//! A thread of its own does both: settling and housekeeping may hang on a disk, and whoever runs
//! beside them with them.
//!
//! A worker that has not turned for half of the watchdog's time is stuck, and so is what waits for
//! it: then nothing is said, and the service manager starts the server anew. Disk and database have
//! no part in this, since no redirect depends on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use actix_web::rt;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use sd_notify::NotifyState;

use crate::listen::Watch;
use crate::shutdown::Stop;

use super::watched::Thread;

/// Exit code of a server of which a part died: the service manager starts another.
const DIED: i32 = 70;

/// Hears signals that would end the process before anything heeds them: SIGHUP while it starts, and
/// SIGXFSZ, after which a file that may not grow is an error like that of a full disk.
pub fn outlive_signals() {
    for kind in [SignalKind::hangup(), SignalKind::from_raw(libc::SIGXFSZ)] {
        // Heard once, it is heard for as long as the process lives.
        if let Err(error) = signal(kind) {
            tracing::warn!(%error, ?kind, "app: a signal cannot be heard");
        }
    }
}

/// Says that the configuration is read again, and when that is over.
pub(super) fn reloading<T>(reload: impl FnOnce() -> T) -> T {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "app: no monotonic time"),
    }
    let done = reload();
    tell(&[NotifyState::Ready]);
    done
}

/// Says that requests are answered.
pub(super) fn serving() {
    tell(&[NotifyState::Ready]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "app: the service manager cannot be told");
    }
}

/// The service manager, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Supervisor {
    /// After this long without a sign of life it ends the process; `None` if it does not watch.
    patience: Option<Duration>,
    pulses: Arc<Pulses>,
}

impl Supervisor {
    /// Whom the environment names.
    pub(super) fn named() -> Self {
        Self {
            patience: sd_notify::watchdog_enabled().filter(|time| !time.is_zero()),
            pulses: Arc::new(Pulses {
                began: Instant::now(),
                workers: Mutex::default(),
            }),
        }
    }

    /// What each worker calls on its own thread when it begins, with what it runs besides.
    pub(super) fn on_worker(&self, stop: &Stop) -> impl Fn(Watch) + Send + Sync + 'static {
        let (supervisor, stop) = (self.clone(), stop.clone());
        move |watch| {
            rt::spawn(watch);
            if let Some(patience) = supervisor.patience {
                let (pulses, stop) = (Arc::clone(&supervisor.pulses), stop.clone());
                let pulse = pulses.add();
                rt::spawn(async move {
                    while !stop.asked() {
                        pulses.beat(&pulse);
                        stop.wait_for(patience / 8).await;
                    }
                });
            }
        }
    }

    /// Starts the thread that tells the service manager how it is, and asks for a stop when a
    /// signal does, if `signals` are to be heard: they are once this returns. `longest` is what
    /// stopping may take, whatever the unit says.
    pub(super) async fn start(
        self,
        signals: bool,
        longest: Duration,
        stop: &Stop,
    ) -> std::io::Result<Thread> {
        let (asked, hears) = (stop.clone(), Stop::default());
        let begun = hears.clone();
        let thread = Thread::start("supervisor", stop, move |over| {
            rt::System::new().block_on(async {
                let heard = if signals { Signals::hear() } else { None };
                begun.ask();
                tokio::select! {
                    () = over.wait() => {}
                    () = stop_on_signal(heard, &asked) => {}
                    () = self.keep_told(&asked, longest) => {}
                }
            });
        })?;
        tokio::select! {
            () = hears.wait() => {}
            () = stop.wait() => {}
        }
        Ok(thread)
    }

    /// Says that all is well for as long as it is, and at `stop` that stopping may take `longest`.
    /// It never ends: stopping may take longer than the service manager's patience, and workers end
    /// by and by.
    async fn keep_told(&self, stop: &Stop, longest: Duration) {
        match self.patience {
            Some(patience) => self.watch(patience, stop).await,
            None => stop.wait().await,
        }
        let longest = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
        tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(longest),
        ]);
        while let Some(patience) = self.patience {
            tell(&[NotifyState::Watchdog]);
            rt::time::sleep(patience / 4).await;
        }
        std::future::pending().await
    }

    async fn watch(&self, patience: Duration, stop: &Stop) {
        while !stop.asked() {
            match self.pulses.slowest() {
                Some(slowest) if slowest > patience / 2 => {
                    let seconds = slowest.as_secs_f64();
                    tracing::error!(seconds, "app: a worker is stuck");
                }
                _ => tell(&[NotifyState::Watchdog]),
            }
            stop.wait_for(patience / 4).await;
        }
    }
}

/// The signals that ask for a stop. Until they are heard, they end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn hear() -> Option<Self> {
        let terminate = signal(SignalKind::terminate());
        let (Ok(terminate), Ok(interrupt)) = (terminate, signal(SignalKind::interrupt())) else {
            tracing::error!("app: signals cannot be heard");
            return None;
        };
        Some(Self {
            terminate,
            interrupt,
        })
    }
}

/// The first signal asks for an orderly stop, the second ends the process: with an error if it was
/// a part that died, not a signal, for which everything stops. It never ends by itself.
async fn stop_on_signal(signals: Option<Signals>, stop: &Stop) {
    let Some(mut signals) = signals else {
        return std::future::pending().await;
    };
    let mut asked = None;
    loop {
        let heard = tokio::select! {
            _ = signals.terminate.recv() => "SIGTERM",
            _ = signals.interrupt.recv() => "SIGINT",
        };
        if let Some(code) = asked {
            tracing::warn!(signal = heard, "app: asked again, stopping at once");
            // The journal holds every answered hit; nothing is lost by leaving now.
            std::process::exit(code);
        }
        asked = Some(if stop.asked() { DIED } else { 0 });
        tracing::info!(signal = heard, "app: stopping");
        stop.ask();
    }
}

/// When each worker last turned, ms after `began`; one that has ended leaves.
#[derive(Debug)]
struct Pulses {
    began: Instant,
    workers: Mutex<Vec<Weak<AtomicU64>>>,
}

impl Pulses {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn add(&self) -> Arc<AtomicU64> {
        let pulse = Arc::new(AtomicU64::new(self.now()));
        let workers = self.workers.lock();
        let mut workers = workers.unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(&pulse));
        pulse
    }

    fn beat(&self, pulse: &AtomicU64) {
        pulse.store(self.now(), Ordering::Relaxed);
    }

    /// How long ago the slowest worker turned.
    fn slowest(&self) -> Option<Duration> {
        let now = self.now();
        let workers = self.workers.lock();
        let workers = workers.unwrap_or_else(PoisonError::into_inner);
        let live = workers.iter().filter_map(Weak::upgrade);
        let behind = live.map(|pulse| now.saturating_sub(pulse.load(Ordering::Relaxed)));
        behind.max().map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_no_longer_turns_is_seen_and_one_that_ended_is_not_waited_for() {
        let hour = Duration::from_hours(1);
        let pulses = Pulses {
            began: Instant::now().checked_sub(hour).unwrap(),
            workers: Mutex::default(),
        };
        assert_eq!(pulses.slowest(), None);
        let (turning, stuck) = (pulses.add(), pulses.add());
        assert!(pulses.slowest().unwrap() < hour / 2);
        stuck.store(0, Ordering::Relaxed);
        pulses.beat(&turning);
        assert!(pulses.slowest().unwrap() >= hour);
        drop(stuck);
        assert!(pulses.slowest().unwrap() < hour / 2);
    }
}
