//! What a run came to, and whether the generator kept up.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::{Histogram, Oracle};

/// Beyond this, what is called the server's latency is in part the generator's.
const BEHIND_MAX: Duration = Duration::from_millis(1);

/// What became of the requests of a run.
///
/// `sent = answered + broken + malformed + pending`.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests of which at least a byte went out.
    pub sent: u64,
    /// Answers that were read to their end.
    pub answered: u64,
    /// The connection ended before the answer did.
    pub broken: u64,
    /// The answer was not one that has an end, or went on behind it.
    pub malformed: u64,
    /// Not answered when the run had drained for as long as the plan allows.
    pub pending: u64,
    /// Due, and never sent: no connection was free, or none took a byte.
    pub unsent: u64,
    /// Attempts to connect again that failed.
    pub refused: u64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Open loop: from when the request was due to the end of the answer, so that waiting for a
    /// connection counts. Closed loop: from its sending.
    pub latency: Histogram,
    /// Open loop: how long a due request waited although a connection was free. That is the
    /// generator's own delay, and part of `latency`.
    pub behind: Histogram,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// What the generator's threads took.
    pub generator: Generator,
    /// What became of each id, if the plan asks for it.
    pub oracle: Option<Oracle>,
    /// When each answer had been read to its end, if the plan asks for it.
    pub times: Vec<(u64, Instant)>,
}

/// Processor time of the generator's threads, as the kernel counts it; zero where it does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generator {
    /// Threads.
    pub threads: u64,
    /// Time on a processor.
    pub ran: Duration,
    /// Time ready to run, while others did.
    pub starved: Duration,
}

impl Generator {
    /// Of the calling thread since it began.
    pub(crate) fn of_this_thread() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut times = text.split_whitespace().map_while(|word| word.parse().ok());
        let mut next = || Duration::from_nanos(times.next().unwrap_or(0));
        Self {
            threads: 1,
            ran: next(),
            starved: next(),
        }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            threads: self.threads,
            ran: self.ran.saturating_sub(earlier.ran),
            starved: self.starved.saturating_sub(earlier.starved),
        }
    }

    /// The busiest that a thread can have been, from 0 to 1.
    #[must_use]
    pub fn load(&self, elapsed: Duration) -> f64 {
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        let all = elapsed.as_secs_f64() * f64::from(threads);
        if all > 0.0 {
            self.ran.as_secs_f64() / all
        } else {
            0.0
        }
    }
}

impl Outcome {
    /// Answers in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let answered = self.answered as f64;
        answered / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Why the latencies are not the server's alone, if they are not.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let behind = self.behind.quantile(0.99);
        let load = self.generator.load(self.elapsed);
        if behind > BEHIND_MAX {
            let starved = self.generator.starved;
            let waited = format!("waited {starved:.1?} for a processor");
            let text = format!("the generator was {behind:.1?} behind at p99 ({waited})");
            return Some(text);
        }
        (load > 0.9 && self.behind.count() > 0).then(|| {
            format!(
                "the generator's threads were busy for {:.0} % of the time",
                load * 100.0
            )
        })
    }

    /// Takes over what another thread has seen.
    pub(crate) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.broken += other.broken;
        self.malformed += other.malformed;
        self.pending += other.pending;
        self.unsent += other.unsent;
        self.refused += other.refused;
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        self.latency.add(&other.latency);
        self.behind.add(&other.behind);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.times.extend(other.times);
        self.generator.threads += other.generator.threads;
        self.generator.ran += other.generator.ran;
        self.generator.starved += other.generator.starved;
        match (&mut self.oracle, other.oracle) {
            (Some(mine), Some(theirs)) => mine.add(&theirs),
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sent {}, answered {} ({:.0}/s), broken {}, malformed {}, pending {}, unsent {}, \
             connections refused {}",
            self.sent,
            self.answered,
            self.rate(),
            self.broken,
            self.malformed,
            self.pending,
            self.unsent,
            self.refused
        )?;
        for (status, count) in &self.by_status {
            writeln!(f, "status {status}: {count}")?;
        }
        let times = [("latency", &self.latency), ("behind", &self.behind)];
        for (name, times) in times.into_iter().filter(|(_, times)| times.count() > 0) {
            let at = |share| times.quantile(share);
            writeln!(
                f,
                "{name}: p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, max {:.1?}",
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                times.max()
            )?;
        }
        let load = self.generator.load(self.elapsed) * 100.0;
        let starved = self.generator.starved;
        write!(
            f,
            "generator: busy {load:.0} %, waited {starved:.1?} for a processor"
        )?;
        match self.doubt() {
            Some(doubt) => write!(f, "\nDOUBTFUL: {doubt}"),
            None => Ok(()),
        }
    }
}
