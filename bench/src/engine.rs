//! One thread of the generator: its clock and its event loop.
//!
//! In each turn everything that came is read first, so that answers get their time at once; then
//! everything that is due is sent. What a dead server has left in our sockets is read before a
//! connection is given up.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::connection::{Connection, Heard};
use crate::load::{LoadError, Plan};
use crate::outcome::{Generator, Outcome};
use crate::pool::{Pool, Request, State};
use crate::schedule::Schedule;
use crate::{Oracle, Requests};

/// How soon a stop is heard, at the latest.
const LOOK_UP: Duration = Duration::from_millis(20);
const READ_BYTES_MAX: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
/// The token of the timer; connections have those below.
const TIMER: Token = Token(usize::MAX - 1);

/// A thread's part of a run.
pub(crate) struct Engine<'a> {
    plan: &'a Plan,
    requests: &'a dyn Requests,
    stop: &'a AtomicBool,
    poll: Poll,
    timer: OwnedFd,
    schedule: Schedule,
    pool: Pool,
    busy: usize,
    began: Instant,
    /// When the run ends, answered or not; set once no more requests become due.
    drained: Option<Instant>,
    outcome: Outcome,
    scratch: Vec<u8>,
}

impl<'a> Engine<'a> {
    /// Opens every connection, so that a run begins with all of them.
    pub(crate) fn connect(
        plan: &'a Plan,
        thread: u64,
        requests: &'a dyn Requests,
        stop: &'a AtomicBool,
    ) -> Result<Self, LoadError> {
        let poll = Poll::new()?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(io::Error::from)?;
        let source = timer.as_raw_fd();
        let registry = poll.registry();
        registry.register(&mut SourceFd(&source), TIMER, Interest::READABLE)?;
        let (address, when_gone) = (plan.address, plan.when_gone);
        let count = plan.connections_of(thread);
        let pool = Pool::open_all(registry.try_clone()?, address, when_gone, count)
            .map_err(|source| LoadError::Connect { address, source })?;
        Ok(Self {
            plan,
            requests,
            stop,
            poll,
            timer,
            schedule: Schedule::new(plan, thread),
            pool,
            busy: 0,
            began: Instant::now(),
            drained: None,
            outcome: Outcome {
                oracle: plan.oracle.then(Oracle::default),
                ..Outcome::default()
            },
            scratch: vec![0; READ_BYTES_MAX],
        })
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Result<Outcome, LoadError> {
        let before = Generator::of_this_thread();
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.began = Instant::now();
        loop {
            let now = Instant::now();
            self.pool.reopen_due(now);
            self.send_due();
            if self.is_over(now) {
                break;
            }
            let wait = self.wait(now)?;
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => done?,
            }
            for event in &events {
                if event.token() != TIMER {
                    self.on_event(event);
                }
            }
        }
        self.outcome.pending = self.busy as u64;
        self.outcome.refused = self.pool.refused();
        self.count_unsent();
        self.outcome.generator = Generator::of_this_thread().since(before);
        Ok(self.outcome)
    }

    /// Everything was sent and answered, or cannot be any more.
    fn is_over(&mut self, now: Instant) -> bool {
        let stopped = self.stop.load(Ordering::Relaxed);
        let timed_out = self
            .plan
            .duration
            .is_some_and(|most| now >= self.began + most);
        if stopped || timed_out || self.schedule.due_at().is_none() {
            if self.drained.is_none() {
                self.drained = Some(now + self.plan.drain);
                self.schedule.end_by(now - self.began);
            }
            let nothing_left = self.busy == 0 && self.schedule.due_at().is_none();
            return nothing_left
                || self.pool.alive() == 0
                || self.drained.is_some_and(|end| now >= end);
        }
        self.pool.alive() == 0
    }

    /// How long there is nothing to do unless something comes; arms the timer for the next request,
    /// because polls only count milliseconds.
    fn wait(&self, now: Instant) -> Result<Duration, LoadError> {
        let until = |at: Instant| at.saturating_duration_since(now);
        let mut wait = LOOK_UP;
        if let Some(at) = self.pool.reopens_at() {
            wait = wait.min(until(at));
        }
        let due = self.schedule.due_at().filter(|_| self.pool.has_free());
        let Some(due) = due.map(|due| until(self.began + due)) else {
            return Ok(wait);
        };
        if due.is_zero() {
            return Ok(due);
        }
        if due < wait {
            let it_value = Timespec {
                tv_sec: 0,
                tv_nsec: due.subsec_nanos().into(),
            };
            let it_interval = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let spec = Itimerspec {
                it_interval,
                it_value,
            };
            timerfd_settime(self.timer.as_fd(), TimerfdTimerFlags::empty(), &spec)
                .map_err(io::Error::from)?;
        }
        Ok(wait)
    }

    /// Sends what is due, as long as there are free connections.
    fn send_due(&mut self) {
        while let Some(due) = self.schedule.due_at() {
            let now = Instant::now();
            let since_start = now - self.began;
            if due > since_start {
                return;
            }
            let Some((index, connection, free_since)) = self.pool.take_free() else {
                return;
            };
            let (id, scheduled) = self.schedule.take(since_start);
            let from = if self.schedule.is_closed_loop() {
                now
            } else {
                let scheduled = self.began + scheduled;
                let possible = scheduled.max(free_since);
                self.outcome
                    .behind
                    .record(now.saturating_duration_since(possible));
                scheduled
            };
            self.send(
                index,
                connection,
                Request {
                    id,
                    from,
                    sent: false,
                },
            );
        }
    }

    fn send(&mut self, index: usize, mut connection: Connection, mut request: Request) {
        let wrote = connection.begin(|into| self.requests.write(request.id, into));
        if wrote.failed && !wrote.begun {
            self.outcome.unsent += 1;
            self.pool.end(index);
            return;
        }
        if wrote.begun {
            self.note_sent(&mut request);
        }
        self.busy += 1;
        self.pool.set(index, State::Busy(connection, request));
        if wrote.failed {
            self.hear(index, true);
        }
    }

    fn note_sent(&mut self, request: &mut Request) {
        if request.sent {
            return;
        }
        request.sent = true;
        self.outcome.sent += 1;
        if let Some(oracle) = &mut self.outcome.oracle {
            oracle.sent(request.id);
        }
    }

    fn on_event(&mut self, event: &Event) {
        let index = event.token().0;
        match self.pool.take(index) {
            State::Connecting(connection) => match connection.is_connected() {
                Ok(true) => self.pool.set_free(index, connection, Instant::now()),
                Ok(false) => self.pool.set(index, State::Connecting(connection)),
                Err(()) => self.pool.failed_to_connect(index),
            },
            State::Busy(mut connection, mut request) => {
                let mut failed = false;
                if !connection.is_written() {
                    let wrote = connection.write_on();
                    failed = wrote.failed;
                    if wrote.begun {
                        self.note_sent(&mut request);
                    }
                }
                self.pool.set(index, State::Busy(connection, request));
                if event.is_readable() || event.is_read_closed() || event.is_error() || failed {
                    self.hear(index, event.is_read_closed() || event.is_error() || failed);
                }
            }
            other => {
                self.pool.set(index, other);
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.hear(index, event.is_read_closed() || event.is_error());
                }
            }
        }
    }

    /// Reads what is there; all of it, if the connection `ends`.
    fn hear(&mut self, index: usize, ends: bool) {
        loop {
            match self.pool.take(index) {
                State::Busy(connection, request) => {
                    if !self.hear_answer(index, connection, request, ends) {
                        return;
                    }
                }
                State::Free(mut connection, since) => {
                    // Nothing was asked, so only the end can come.
                    match connection.read(&mut self.scratch).0 {
                        Heard::Nothing => self.pool.set(index, State::Free(connection, since)),
                        _ => self.pool.end(index),
                    }
                    return;
                }
                other => return self.pool.set(index, other),
            }
        }
    }

    /// Reads once; whether to read again.
    fn hear_answer(
        &mut self,
        index: usize,
        mut connection: Connection,
        request: Request,
        ends: bool,
    ) -> bool {
        let (heard, emptied) = connection.read(&mut self.scratch);
        match heard {
            Heard::Part => {
                self.pool.set(index, State::Busy(connection, request));
                return ends || !emptied;
            }
            Heard::Nothing if !ends => {
                self.pool.set(index, State::Busy(connection, request));
                return false;
            }
            Heard::Answer(head) => {
                let now = Instant::now();
                self.note_answer(request, head.status, now);
                if head.closes || !connection.is_written() {
                    drop(connection);
                    self.pool.open(index);
                    return false;
                }
                self.pool.set_free(index, connection, now);
                return ends;
            }
            Heard::Malformed if request.sent => self.outcome.malformed += 1,
            _ if request.sent => self.outcome.broken += 1,
            _ => self.outcome.unsent += 1,
        }
        self.busy -= 1;
        self.pool.end(index);
        false
    }

    fn note_answer(&mut self, request: Request, status: u16, now: Instant) {
        self.busy -= 1;
        self.outcome.answered += 1;
        *self.outcome.by_status.entry(status).or_default() += 1;
        self.outcome.elapsed = now - self.began;
        let latency = now.saturating_duration_since(request.from);
        self.outcome.latency.record(latency);
        if let Some(oracle) = &mut self.outcome.oracle {
            oracle.answered(request.id, status);
        }
        if self.plan.times {
            self.outcome.times.push((request.id, now));
        }
    }

    /// Counts what was due and found no connection to the end.
    fn count_unsent(&mut self) {
        let now = self.began.elapsed();
        self.schedule.end_by(now);
        while !self.schedule.is_closed_loop() && self.schedule.due_at().is_some() {
            self.schedule.take(now);
            self.outcome.unsent += 1;
        }
    }
}
