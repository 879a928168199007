//! Times and sizes as people write them: `50ms`, `2 days`, `64 MiB`, or a bare number in the unit
//! that the key's name carries.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};

/// Unit of a key's bare numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millisecond,
    Second,
    Hour,
    Day,
}

impl Unit {
    /// That of a key, such as `sync_ms_max` or `keep_hours`.
    pub(super) fn of(key: &str) -> Option<Self> {
        key.split(['.', '_']).find_map(|word| match word {
            "ms" => Some(Self::Millisecond),
            "seconds" => Some(Self::Second),
            "hours" => Some(Self::Hour),
            "days" => Some(Self::Day),
            _ => None,
        })
    }

    pub(super) const fn times(self, number: u64) -> Duration {
        match self {
            Self::Millisecond => Duration::from_millis(number),
            Self::Second => Duration::from_secs(number),
            Self::Hour => Duration::from_hours(number),
            Self::Day => Duration::from_hours(number * 24),
        }
    }

    /// A time in this unit, for people.
    pub(super) fn show(self, time: Duration) -> String {
        let (number, name) = match self {
            Self::Millisecond => (time.as_secs_f64() * 1e3, "ms"),
            Self::Second => (time.as_secs_f64(), "s"),
            Self::Hour => (time.as_secs_f64() / 3_600.0, "h"),
            Self::Day => (time.as_secs_f64() / 86_400.0, "days"),
        };
        format!("{number} {name}")
    }
}

/// A time.
pub(super) fn duration(text: &str, bare: Unit) -> Result<Duration, String> {
    if let Ok(number) = text.parse::<u32>() {
        return Ok(bare.times(number.into()));
    }
    let wrong = || format!("{text:?} is no time such as 50ms, 10s, 24h or 7 days");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let relative = SpanRelativeTo::days_are_24_hours();
    let time = span.to_duration(relative).map_err(|_| wrong())?;
    Duration::try_from(time).map_err(|_| wrong())
}

/// A size in bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = |_| format!("{text:?} is no size such as 65536, 64 MiB or 8 GB");
    text.parse::<ByteSize>()
        .map(|size| size.as_u64())
        .map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("50", 50),
            ("50ms", 50),
            ("50 ms", 50),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("24 hours", 86_400_000),
            ("7d", 604_800_000),
            ("1 day", 86_400_000),
        ] {
            let time = duration(text, Unit::Millisecond);
            assert_eq!(time, Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "5 MB",
            "soon",
            "-5s",
            "5 parsecs",
            "1 month",
            "0x10",
            "99999999999",
        ] {
            assert!(duration(text, Unit::Second).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, size) in [
            ("65536", 65_536),
            ("5 MiB", 5 << 20),
            ("5MiB", 5 << 20),
            ("5 MB", 5_000_000),
            ("8 GiB", 8 << 30),
            ("64k", 64_000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "-1", "50ms", "five", "5 XB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
