//! Shares with the intervals that they lie in.

use serde::Serialize;

/// 95 % of a normal distribution lie within so many standard deviations.
const Z: f64 = 1.96;

/// A share with the interval that it lies in with 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The share, per cent.
    pub percent: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { percent, low, high } = self;
        write!(out, "{percent:.2} % ({low:.2} to {high:.2})")
    }
}

/// A part of some hits, per cent; `None` if there are none.
#[expect(clippy::cast_precision_loss, reason = "counts of hits")]
#[must_use]
pub fn percent(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| 100.0 * part as f64 / of as f64)
}

/// The interval of Wilson for a share; right also near 0 and 100 %.
#[expect(clippy::cast_precision_loss, reason = "counts of hits")]
#[must_use]
pub fn wilson(part: u64, of: u64) -> Option<Estimate> {
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
}
