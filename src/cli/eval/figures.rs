//! What judgements are worth against labels: shares with intervals.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::{Estimate, percent, wilson};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Makes them the same each time.
const SEED: u64 = 1;

/// Hits of one kind, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Labelled human.
    pub(super) humans: u64,
    /// Those of them that were judged human.
    pub(super) kept: u64,
    /// Labelled machine.
    pub(super) machines: u64,
    /// Those of them that were judged human.
    pub(super) leaked: u64,
}

impl Counts {
    pub(super) fn add(&mut self, is_human: bool, judged_human: bool) {
        let (all, judged) = match is_human {
            true => (&mut self.humans, &mut self.kept),
            false => (&mut self.machines, &mut self.leaked),
        };
        *all += 1;
        *judged += u64::from(judged_human);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            humans: self.humans + other.humans,
            kept: self.kept + other.kept,
            machines: self.machines + other.machines,
            leaked: self.leaked + other.leaked,
        }
    }

    /// Machines' hits that were judged human, per cent of people's hits.
    fn leak_percent(&self) -> Option<f64> {
        percent(self.leaked, self.humans)
    }

    /// By how much the filtered count is wrong, per cent of people's hits.
    fn error_percent(&self) -> Option<f64> {
        Some(percent(self.kept + self.leaked, self.humans)? - 100.0)
    }
}

/// What hits of one kind come to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// Share of people's hits that were kept; by Wilson.
    pub(super) kept: Option<Estimate>,
    /// Machines' hits that were let through, per cent of people's hits; by bootstrap.
    pub(super) leak: Option<Estimate>,
    /// Error of the filtered count, per cent; by bootstrap.
    pub(super) error: Option<Estimate>,
}

impl Figures {
    /// Of the hits of each message: those of one message are not independent, so whole messages are
    /// drawn again.
    pub(super) fn of<'c>(messages: impl Iterator<Item = &'c Counts>) -> Self {
        let messages: Vec<_> = messages.copied().collect();
        let counts = messages
            .iter()
            .copied()
            .fold(Counts::default(), Counts::plus);
        let mut random = fastrand::Rng::with_seed(SEED);
        let draws: Vec<_> = (0..RESAMPLES)
            .map(|_| {
                let drawn = (0..messages.len()).filter_map(|_| {
                    let place = random.usize(..messages.len());
                    messages.get(place).copied()
                });
                drawn.fold(Counts::default(), Counts::plus)
            })
            .collect();
        let estimate = |of: fn(&Counts) -> Option<f64>| {
            let mut drawn: Vec<_> = draws.iter().filter_map(of).collect();
            drawn.sort_by(f64::total_cmp);
            let at = |place: usize| drawn.get(place * drawn.len() / RESAMPLES).copied();
            Some(Estimate {
                percent: of(&counts)?,
                low: at(RESAMPLES * 25 / 1_000)?,
                high: at(RESAMPLES * 975 / 1_000)?,
            })
        };
        Self {
            counts,
            kept: wilson(counts.kept, counts.humans),
            leak: estimate(Counts::leak_percent),
            error: estimate(Counts::error_percent),
        }
    }
}

/// Counts by some name.
pub(super) type Groups = BTreeMap<String, Counts>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_people_s_hits() {
        let mut one = Counts::default();
        for (is_human, judged) in [(true, true), (true, false), (false, true), (false, false)] {
            one.add(is_human, judged);
        }
        let figures = Figures::of([one; 50].iter());
        let percents = [figures.kept, figures.leak, figures.error];
        let percents = percents.map(|estimate| estimate.unwrap().percent);
        assert_eq!(percents, [50.0, 50.0, 0.0]);
        let leak = figures.leak.unwrap();
        assert_eq!(
            (leak.low, leak.high),
            (50.0, 50.0),
            "all messages are alike"
        );
    }
}
