//! Points in time as journal and store keep them, and as the API writes them.

use jiff::Timestamp;

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Micros(i64);

const CELL_MICROS: i64 = 15 * 60 * 1_000_000;

impl Micros {
    /// A point in time from its microseconds.
    #[must_use]
    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    /// The microseconds.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whole Unix seconds, as tokens keep them; clamped to what they can hold.
    #[must_use]
    pub fn seconds(self) -> u32 {
        u32::try_from((self.0 / 1_000_000).max(0)).unwrap_or(u32::MAX)
    }

    /// Later by so many microseconds (or earlier, if negative).
    #[must_use]
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Start of the 15-minute cell that this point lies in: a quarter of an hour, since some
    /// time zones are a quarter of an hour off.
    #[must_use]
    pub const fn cell(self) -> Self {
        Self(self.0 - self.0.rem_euclid(CELL_MICROS))
    }

    /// Start of the week that this point lies in: Monday at midnight, UTC.
    #[must_use]
    pub const fn week(self) -> Self {
        const WEEK_MICROS: i64 = 7 * 86_400 * 1_000_000;
        // The epoch was a Thursday.
        const FIRST_MONDAY: i64 = 4 * 86_400 * 1_000_000;
        Self(self.0 - (self.0 - FIRST_MONDAY).rem_euclid(WEEK_MICROS))
    }

    /// Whole days since the epoch, UTC.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(86_400 * 1_000_000)
    }

    /// Parses an RFC 3339 time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>()
            .ok()
            .map(|time| Self(time.as_microsecond()))
    }
}

impl std::fmt::Display for Micros {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(out, "{time:.6}"),
            Err(_) => write!(out, "{}µs", self.0),
        }
    }
}

impl serde::Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Micros {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(input)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is not a time such as 2026-11-21T12:00:00Z"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday() {
        let at = |text: &str| Micros::parse(text).unwrap();
        let monday = at("2026-11-23T00:00:00Z");
        assert_eq!(monday.week(), monday);
        assert_eq!(at("2026-11-29T23:59:59.999999Z").week(), monday);
        assert_eq!(
            at("1969-12-31T00:00:00Z").week(),
            at("1969-12-29T00:00:00Z")
        );
    }
}
