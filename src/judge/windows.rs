//! Lengths of time that the rules of timing and neighbours go by, as a rule set has them.

use serde::Deserialize;
use toml::Spanned;

use super::ruleset_error::{RuleSetError, value_error};

/// Longest of them: hits are remembered for a day.
const SECONDS_MAX: u32 = 24 * 3_600;

macro_rules! windows {
    ($($(#[$about:meta])* $name:ident => $key:literal, $shipped:literal;)*) => {
        /// Lengths of time, in microseconds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Windows {
            $($(#[$about])* pub(super) $name: i64,)*
        }

        impl Windows {
            /// Each in seconds, by its key in rule sets.
            pub fn seconds(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
                let seconds = |micros: i64| u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX);
                [$(($key, seconds(self.$name))),*].into_iter()
            }
        }

        /// As a rule set has them.
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct WrittenWindows {
            $(#[serde(rename = $key)] $name: Option<Spanned<u32>>,)*
        }

        impl WrittenWindows {
            /// All of them; what is not there is as it is shipped, unless they must be whole.
            pub(super) fn check(&self, text: &str, whole: bool) -> Result<Windows, RuleSetError> {
                let micros = |key, written: &Option<Spanned<u32>>, shipped: u32| {
                    let seconds = match written {
                        Some(seconds) if *seconds.get_ref() > SECONDS_MAX => {
                            let at = seconds.span().start;
                            return Err(value_error(text, at, key, "more than a day"));
                        }
                        Some(seconds) => *seconds.get_ref(),
                        None if whole => {
                            let what = format!("no {key} in [windows]");
                            return Err(RuleSetError::Lacks(what));
                        }
                        None => shipped,
                    };
                    Ok(i64::from(seconds) * 1_000_000)
                };
                Ok(Windows { $($name: micros($key, &self.$name, $shipped)?,)* })
            }
        }
    };
}

windows! {
    /// Clocks of mail servers and edges differ, and logs have whole seconds: a hit so little before
    /// the acceptance counts as at it.
    clock_skew => "clock_skew_seconds", 1;
    /// So soon after the acceptance hardly a person has clicked.
    at_accept => "at_accept_seconds", 2;
    /// So long after it the time itself is suspicious, in a network where machines are common.
    after_accept => "after_accept_seconds", 60;
    /// Links that are followed in so short a time are followed at once.
    at_once => "at_once_seconds", 2;
    /// Faster than people open tabs, for five of them.
    rapid => "rapid_seconds", 5;
    /// Networks that take turns do so in less.
    turns => "turns_seconds", 30;
    /// One client sends the same headers for so long.
    same_client => "same_client_seconds", 60;
    /// Nobody follows twenty links in less.
    flood => "flood_seconds", 60;
    /// A slow scanner goes through a mail in less.
    sweep => "sweep_seconds", 900;
}

impl Windows {
    /// A sentence with each `{key}` in it said as a length of time.
    #[must_use]
    pub fn fill(&self, sentence: &str) -> String {
        let mut filled = sentence.to_owned();
        for (key, seconds) in self.seconds() {
            let hole = format!("{{{key}}}");
            if filled.contains(&hole) {
                filled = filled.replace(&hole, &spoken(seconds));
            }
        }
        filled
    }
}

fn spoken(seconds: u32) -> String {
    match seconds {
        0 => "0 s".to_owned(),
        all if all % 3_600 == 0 => format!("{} h", all / 3_600),
        all if all % 60 == 0 => format!("{} min", all / 60),
        all => format!("{all} s"),
    }
}
