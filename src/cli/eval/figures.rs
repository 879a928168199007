//! What judgements are worth against labels: shares with intervals.

use std::collections::BTreeMap;

use serde::Serialize;

/// 95 % of a normal distribution lie within so many standard deviations.
const Z: f64 = 1.96;
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

#[expect(clippy::cast_precision_loss, reason = "counts of hits in a file")]
fn percent(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| 100.0 * part as f64 / of as f64)
}

/// A share with the interval that it lies in with 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) percent: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { percent, low, high } = self;
        write!(out, "{percent:.2} % ({low:.2} to {high:.2})")
    }
}

/// The interval of Wilson for a share; right also near 0 and 100 %.
#[expect(clippy::cast_precision_loss, reason = "counts of hits in a file")]
pub(super) fn wilson(part: u64, of: u64) -> Option<Estimate> {
    let share = percent(part, of)? / 100.0;
    let n = of as f64;
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let spread = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Estimate {
        percent: 100.0 * share,
        low: 100.0 * (middle - spread).max(0.0),
        high: 100.0 * (middle + spread).min(1.0),
    })
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
    fn wilson_is_as_in_the_books() {
        // Newcombe 1998, table I: 81 of 263, and 0 of 20.
        let one = wilson(81, 263).unwrap();
        assert!(
            (one.low - 25.53).abs() < 0.01 && (one.high - 36.62).abs() < 0.01,
            "{one}"
        );
        let none = wilson(0, 20).unwrap();
        assert!(
            none.low == 0.0 && (none.high - 16.11).abs() < 0.01,
            "{none}"
        );
        assert_eq!(wilson(0, 0), None);
    }

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
