//! When which request is due, for one thread of the generator.
//!
//! Owns ids and arrival times; both follow from plan, seed and thread alone. Refuses to know
//! whether anything could be sent.

use std::time::Duration;

use crate::load::{Arrivals, Plan};
use crate::seed::Random;

/// The requests of one thread: every `threads`th id with its time.
#[derive(Debug)]
pub(crate) struct Schedule {
    arrivals: Arrivals,
    random: Random,
    /// Threads together.
    threads: u64,
    next_id: u64,
    /// Of the next request, since the start.
    next_at: Duration,
    ids_end: u64,
    ends_at: Duration,
}

impl Schedule {
    pub(crate) fn new(plan: &Plan, thread: u64) -> Self {
        let threads = plan.threads_used();
        let mut schedule = Self {
            arrivals: plan.arrivals,
            random: Random::new(plan.seed.part(thread)),
            threads,
            next_id: plan.first_id.saturating_add(thread),
            next_at: Duration::ZERO,
            ids_end: plan.first_id.saturating_add(plan.total.unwrap_or(u64::MAX)),
            ends_at: plan.duration.unwrap_or(Duration::MAX),
        };
        schedule.next_at = match plan.arrivals {
            // Threads take turns; all of them together are even.
            Arrivals::Constant(rate) => seconds(lossy(thread) / rate),
            Arrivals::Poisson(_) | Arrivals::Closed => schedule.gap(),
        };
        schedule
    }

    /// When the next request is due; `None` when there is none. Closed loop: at once.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        let some = self.next_id < self.ids_end && self.next_at < self.ends_at;
        some.then_some(self.next_at)
    }

    /// No more from now on, but what is due by now.
    pub(crate) fn end_by(&mut self, now: Duration) {
        self.ends_at = self.ends_at.min(now);
    }

    /// Whether this never waits for the clock.
    pub(crate) fn is_closed_loop(&self) -> bool {
        matches!(self.arrivals, Arrivals::Closed)
    }

    /// Hands out the next request and its time.
    pub(crate) fn take(&mut self, now: Duration) -> (u64, Duration) {
        let taken = (self.next_id, self.next_at);
        self.next_id = self.next_id.saturating_add(self.threads);
        self.next_at = match self.arrivals {
            Arrivals::Closed => now,
            Arrivals::Constant(_) | Arrivals::Poisson(_) => self.next_at + self.gap(),
        };
        taken
    }

    fn gap(&mut self) -> Duration {
        let threads = lossy(self.threads);
        match self.arrivals {
            Arrivals::Closed => Duration::ZERO,
            Arrivals::Constant(rate) => seconds(threads / rate),
            // 1 - unit() is never 0, so the logarithm is finite.
            Arrivals::Poisson(rate) => seconds(-(1.0 - self.random.unit()).ln() * threads / rate),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "threads are few")]
fn lossy(threads: u64) -> f64 {
    threads as f64
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    fn plan(arrivals: Arrivals) -> Plan {
        Plan {
            arrivals,
            threads: 2,
            duration: Some(Duration::from_secs(10)),
            seed: Seed(7),
            ..Plan::new("127.0.0.1:1".parse().unwrap())
        }
    }

    fn all(plan: &Plan, thread: u64) -> Vec<(u64, Duration)> {
        let mut schedule = Schedule::new(plan, thread);
        let mut all = Vec::new();
        while let Some(due) = schedule.due_at() {
            all.push(schedule.take(due));
        }
        all
    }

    #[test]
    fn poisson_has_the_rate_and_the_scatter() {
        let plan = plan(Arrivals::Poisson(1000.0));
        let mut together: Vec<_> = (0..2).flat_map(|thread| all(&plan, thread)).collect();
        together.sort_by_key(|(_, at)| *at);
        assert!(
            (9_500..10_500).contains(&together.len()),
            "{}",
            together.len()
        );
        let gaps = together.windows(2).map(|two| two[1].1 - two[0].1);
        let long = gaps.filter(|gap| *gap > Duration::from_millis(1)).count();
        // e^-1 of the gaps are longer than the mean.
        assert!((3_300..4_100).contains(&long), "{long}");
        assert_eq!(all(&plan, 0), all(&plan, 0));
    }

    #[test]
    fn constant_is_even_over_threads_and_total_ends_it() {
        let plan = Plan {
            total: Some(5),
            first_id: 70,
            ..plan(Arrivals::Constant(1000.0))
        };
        let mut together: Vec<_> = (0..2).flat_map(|thread| all(&plan, thread)).collect();
        together.sort_unstable();
        let wanted = (0..5).map(|n| (70 + n, Duration::from_millis(n)));
        assert_eq!(together, wanted.collect::<Vec<_>>());
    }
}
