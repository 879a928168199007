//! What was written, layer over layer, and how keys are read out of it.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reference::{self, nearest};
use super::setting::{Origin, Problem, Setting, Written};
use super::units::{self, Unit};

/// What is in force for each key, and everything that is wrong.
pub(super) struct Layers {
    settings: HashMap<String, Setting>,
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// Lays settings over each other; the last of a key wins.
    pub(super) fn new(written: Vec<Setting>, problems: Vec<Problem>) -> Self {
        let mut layers = Self {
            settings: HashMap::new(),
            problems,
        };
        for setting in written {
            match reference::key(&setting.key) {
                Some(_) => {
                    layers.settings.insert(setting.key.clone(), setting);
                }
                None => {
                    let what = unknown(&setting.key);
                    layers
                        .problems
                        .push(Problem::new(setting.origin, &setting.key, what));
                }
            }
        }
        layers
    }

    /// Where a key's value comes from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let setting = self.settings.get(key);
        setting.map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// Whether somebody wrote a key.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    /// What is in force for a key: what was written, or its default.
    pub(super) fn written(&self, key: &str) -> Option<&Written> {
        let setting = self.settings.get(key).map(|setting| &setting.written);
        setting.or_else(|| reference::key(key)?.default.as_ref())
    }

    /// Notes that something is wrong with a key.
    pub(super) fn refuse(&mut self, key: &str, what: impl Display) {
        self.problems
            .push(Problem::new(self.origin(key), key, what));
    }

    /// A key's value, if it is set or has a default. One that cannot be read is a problem.
    pub(super) fn optional<T, E: Display>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let read = match self.written(key)? {
            Written::One(text) => read(text).map_err(|what| what.to_string()),
            Written::Many(_) => Err("takes one value, not a list".to_owned()),
        };
        read.map_err(|what| self.refuse(key, what)).ok()
    }

    /// The value of a key that has a default. After a problem it does not matter what this is.
    pub(super) fn one<T: Default, E: Display>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        self.optional(key, read).unwrap_or_default()
    }

    /// The values of a list; every wrong one is a problem.
    pub(super) fn many<T, E: Display>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let items = match self.written(key).cloned() {
            None => Vec::new(),
            Some(Written::Many(items)) => items,
            Some(Written::One(text)) => {
                let items = text.split(',').map(|item| item.trim().to_owned());
                items.filter(|item| !item.is_empty()).collect()
            }
        };
        let mut values = Vec::new();
        for item in items {
            match read(&item) {
                Ok(value) => values.push(value),
                Err(what) => self.refuse(key, what),
            }
        }
        values
    }

    pub(super) fn yes_or_no(&mut self, key: &str) -> bool {
        self.one(key, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        })
    }

    /// A number within bounds.
    pub(super) fn number<T>(&mut self, key: &str, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: std::str::FromStr + PartialOrd + Display,
    {
        self.optional(key, |text| {
            let number = text.parse::<T>().ok();
            let number = number.filter(|number| bounds.contains(number));
            number.ok_or_else(|| {
                let (from, to) = (bounds.start(), bounds.end());
                format!("{text} is not a number between {from} and {to}")
            })
        })
    }

    /// A size in bytes, within bounds.
    pub(super) fn bytes(&mut self, key: &str, bounds: RangeInclusive<u64>) -> u64 {
        self.one(key, |text| {
            let size = units::bytes(text)?;
            if bounds.contains(&size) {
                return Ok(size);
            }
            let show = |size: &u64| bytesize::ByteSize(*size).display().iec().to_string();
            let (from, to) = (show(bounds.start()), show(bounds.end()));
            Err(format!("{text} is not between {from} and {to}"))
        })
    }

    /// A time; the bounds are in the unit of the key's name.
    pub(super) fn time(&mut self, key: &str, bounds: RangeInclusive<u64>) -> Option<Duration> {
        let unit = Unit::of(key).unwrap_or(Unit::Second);
        self.optional(key, |text| {
            let time = units::duration(text, unit)?;
            let (from, to) = (unit.times(*bounds.start()), unit.times(*bounds.end()));
            if (from..=to).contains(&time) {
                return Ok(time);
            }
            let (time, from, to) = (unit.show(time), unit.show(from), unit.show(to));
            Err(format!("{time} is not between {from} and {to}"))
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.optional(key, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let near = words
                    .iter()
                    .find(|word| strsim::damerau_levenshtein(word, text) <= 2);
                match near {
                    Some(near) => format!("{text:?} is unknown; did you mean {near:?}?"),
                    None => format!("{text:?} is none of {}", words.join(", ")),
                }
            })
        })
    }
}

/// What is said of a key that nobody knows.
fn unknown(name: &str) -> String {
    let inside = format!("{name}.");
    if reference::keys()
        .iter()
        .any(|key| key.name.starts_with(&inside))
    {
        return format!("is a section: write its keys below [{name}]");
    }
    if let Some((outer, _)) = name.split_once('.')
        && reference::key(outer).is_some()
    {
        return format!("{outer} is a key, not a section");
    }
    match nearest(name) {
        Some(key) => format!("unknown key; did you mean {}?", key.name),
        None => "unknown key; `cupel config docs` lists them".to_owned(),
    }
}
