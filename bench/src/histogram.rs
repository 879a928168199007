//! Times in buckets that grow with the time: 128 to an octave, so a value is good to 0.8 %.

use std::time::Duration;

/// Linear buckets in an octave, as a power of two.
const PRECISION_BITS: u32 = 7;
const PER_OCTAVE: usize = 1 << PRECISION_BITS;
/// Enough for every `u64`.
const BUCKETS: usize = (64 - PRECISION_BITS as usize + 1) * PER_OCTAVE;

/// How often which time was seen, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            count: 0,
            sum: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// Counts everything that another has counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The mean; zero if nothing was counted.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The time that a share of all (0 to 1) did not exceed; zero if nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank is between 1 and the count, and counts stay far below 2^52"
        )]
        let rank = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(highest(index).min(self.max));
            }
        }
        self.max()
    }
}

/// Values below 2^7 have a bucket each; above, the top 8 bits name it.
fn bucket(nanos: u64) -> usize {
    let shift = (64 - PRECISION_BITS).saturating_sub(nanos.leading_zeros() + 1);
    let within = usize::try_from(nanos >> shift).unwrap_or(0);
    shift as usize * PER_OCTAVE + within
}

/// The largest value that falls into a bucket.
fn highest(index: usize) -> u64 {
    // From the second octave on, the leading bit of `within` is always set.
    let shift = (index / PER_OCTAVE).saturating_sub(1);
    let within = index - shift * PER_OCTAVE;
    let next = (within as u128 + 1) << shift;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_good_to_a_hundredth() {
        let mut nanos = 1_u64;
        while nanos < u64::MAX / 3 {
            for value in [nanos, nanos + nanos / 3, nanos * 2 - 1] {
                let high = highest(bucket(value));
                assert!(high >= value, "{value} is above its bucket's {high}");
                assert!(high - value <= value / 100, "{value} became {high}");
            }
            nanos *= 2;
        }
        assert_eq!(highest(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_ranks() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        (1..=900).for_each(|_| low.record(Duration::from_micros(10)));
        (1..=100).for_each(|n| high.record(Duration::from_millis(n)));
        low.add(&high);
        assert_eq!(low.count(), 1000);
        assert_eq!(low.max(), Duration::from_millis(100));
        let near = |share, wanted: Duration| {
            let found = low.quantile(share);
            assert!(found >= wanted && found < wanted.mul_f64(1.01), "{found:?}");
        };
        near(0.5, Duration::from_micros(10));
        near(0.9, Duration::from_micros(10));
        near(0.99, Duration::from_millis(90));
        near(1.0, Duration::from_millis(100));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
