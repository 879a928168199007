//! Rule sets: what each signal is worth.
//!
//! Owns: the form of a rule set file and its checks. Refuses: half a rule set. Every signal has
//! a weight, even if it is zero, so that a rule set written today says what it thinks of each. Only
//! one that was taken once may lack signals that have come since: they weigh nothing in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::own::{self, Own};
pub use super::ruleset_error::RuleSetError;
use super::ruleset_error::{form_error, value_error};
use super::signals::{SIGNALS, Signal, by_name};
use super::windows::{Windows, WrittenWindows};
use crate::domain::hit::HitKind;
use crate::domain::judgement::RuleSetId;

const DEFAULT: &str = include_str!("rulesets/default.toml");

/// Longest correlation window: what settling must hold in memory is bounded.
const WINDOW_SECONDS_MAX: u32 = 3600;

/// Weights, prior, thresholds, windows and lists of one's own by which hits are judged.
#[derive(Clone, Debug)]
pub struct RuleSet {
    id: RuleSetId,
    text: String,
    name: String,
    version: u32,
    human_max: f64,
    machine_min: f64,
    window_seconds: u32,
    windows: Windows,
    own: Arc<Own>,
    scopes: [Scope; 5],
}

/// What holds for one kind of hit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scope {
    /// Log-odds before any evidence.
    pub(super) prior: f64,
    /// Log-odds of each fact, by its bit; 0 for bits that name no signal.
    pub(super) weights: [f64; 64],
}

impl RuleSet {
    /// The name that only the shipped rule set has.
    pub const SHIPPED: &str = "default";
    /// Longest text: a rule set names each signal once.
    pub const BYTES_MAX: usize = 1 << 20;

    /// The rule set that is shipped.
    ///
    /// # Errors
    /// Never, unless the shipped file is broken; a test parses it.
    pub fn shipped() -> Result<Self, RuleSetError> {
        Self::parse(DEFAULT)
    }

    /// Reads a rule set.
    ///
    /// # Errors
    /// For unknown keys and signals, missing weights, numbers that are not finite, and
    /// thresholds out of order.
    pub fn parse(text: &str) -> Result<Self, RuleSetError> {
        Self::read(text, true)
    }

    /// Reads a rule set that was taken once, maybe by an older version: what signals are newer
    /// than it weigh nothing.
    ///
    /// # Errors
    /// For everything else that [`RuleSet::parse`] refuses.
    pub fn kept(text: &str) -> Result<Self, RuleSetError> {
        Self::read(text, false)
    }

    fn read(text: &str, whole: bool) -> Result<Self, RuleSetError> {
        let written: Written = toml::from_str(text).map_err(|error| form_error(text, &error))?;
        written.check(text, whole)
    }

    /// The TOML it was read from, to be kept with its judgements.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its id in journal and store, which follows from its text.
    #[must_use]
    pub const fn id(&self) -> RuleSetId {
        self.id
    }

    /// Name, without the version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Name and version, such as `default@2`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Score per cent below which a hit is a person's.
    #[must_use]
    pub fn human_max(&self) -> f64 {
        self.human_max
    }

    /// Score per cent from which a hit is a machine's.
    #[must_use]
    pub fn machine_min(&self) -> f64 {
        self.machine_min
    }

    /// How long settling waits for what comes around a hit.
    #[must_use]
    pub fn window_seconds(&self) -> u32 {
        self.window_seconds
    }

    /// Lengths of time that its rules go by.
    #[must_use]
    pub const fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Its own networks and agents.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Log-odds of a kind of hit, before any evidence.
    #[must_use]
    pub fn prior(&self, kind: HitKind) -> f64 {
        self.scope(kind).prior
    }

    /// What a signal is worth on a kind of hit, in log-odds.
    #[must_use]
    pub fn weight(&self, kind: HitKind, signal: &Signal) -> f64 {
        let weights = &self.scope(kind).weights;
        weights.get(usize::from(signal.bit)).copied().unwrap_or(0.0)
    }

    pub(super) fn scope(&self, kind: HitKind) -> &Scope {
        let [open, click, page, press, unsubscribe] = &self.scopes;
        match kind {
            HitKind::Open => open,
            HitKind::Click => click,
            HitKind::Page => page,
            HitKind::Press => press,
            HitKind::Unsubscribe => unsubscribe,
        }
    }
}

/// A rule set as people write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<String>,
    version: u32,
    human_max: Spanned<f64>,
    machine_min: Spanned<f64>,
    window_seconds: Spanned<u32>,
    #[serde(default)]
    windows: WrittenWindows,
    prior: Spanned<PerKind>,
    weights: BTreeMap<Spanned<String>, Spanned<Weight>>,
    #[serde(default)]
    networks: own::Written,
    #[serde(default)]
    agents: own::Written,
}

/// A weight for every kind of hit, or for some of them.
#[derive(Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "a weight is a number, or a table with open and click"
)]
enum Weight {
    Same(f64),
    PerKind(PerKind),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct PerKind {
    open: f64,
    click: f64,
    page: Option<f64>,
    press: Option<f64>,
    unsubscribe: Option<f64>,
}

impl PerKind {
    /// One number for each kind of hit, in the order of its code.
    fn all(self) -> [f64; 5] {
        let or_click = |given: Option<f64>| given.unwrap_or(self.click);
        [
            self.open,
            self.click,
            or_click(self.page),
            or_click(self.press),
            or_click(self.unsubscribe),
        ]
    }
}

impl Weight {
    fn all(self) -> [f64; 5] {
        match self {
            Self::Same(weight) => [weight; 5],
            Self::PerKind(weights) => weights.all(),
        }
    }
}

impl Written {
    fn check(self, text: &str, whole: bool) -> Result<RuleSet, RuleSetError> {
        let thresholds = [
            ("human_max", &self.human_max),
            ("machine_min", &self.machine_min),
        ];
        let wrong_threshold = thresholds
            .into_iter()
            .find(|(_, value)| !(0.0..=100.0).contains(value.get_ref()));
        let fault = if !is_name(self.name.get_ref()) {
            Some(("name", self.name.span(), "use 1 to 40 of a-z, 0-9, - and _"))
        } else if let Some((key, value)) = wrong_threshold {
            Some((key, value.span(), "not between 0 and 100"))
        } else if self.human_max.get_ref() > self.machine_min.get_ref() {
            Some(("machine_min", self.machine_min.span(), "below human_max"))
        } else if *self.window_seconds.get_ref() > WINDOW_SECONDS_MAX {
            Some((
                "window_seconds",
                self.window_seconds.span(),
                "more than 3600",
            ))
        } else {
            None
        };
        if let Some((key, span, what)) = fault {
            return Err(value_error(text, span.start, key, what));
        }
        let windows = self.windows.check(text, whole)?;
        Ok(RuleSet {
            id: RuleSetId::of(text),
            text: text.to_owned(),
            scopes: self.scopes(text, whole)?,
            windows,
            own: Arc::new(Own::read(text, &self.networks, &self.agents)?),
            name: self.name.into_inner(),
            version: self.version,
            human_max: self.human_max.into_inner(),
            machine_min: self.machine_min.into_inner(),
            window_seconds: self.window_seconds.into_inner(),
        })
    }

    fn scopes(&self, text: &str, whole: bool) -> Result<[Scope; 5], RuleSetError> {
        let priors = self.prior.get_ref().all();
        if !priors.iter().all(|prior| prior.is_finite()) {
            let at = self.prior.span().start;
            return Err(value_error(text, at, "prior", "not a finite number"));
        }
        let mut scopes = priors.map(|prior| Scope {
            prior,
            weights: [0.0; 64],
        });
        let mut given = 0_u64;
        for (name, weight) in &self.weights {
            let wrong = |what| Err(value_error(text, name.span().start, name.get_ref(), what));
            let Some(signal) = by_name(name.get_ref()) else {
                return wrong("no such signal");
            };
            given |= signal.fact().bits();
            for (scope, weight) in scopes.iter_mut().zip(weight.get_ref().all()) {
                if !weight.is_finite() {
                    return wrong("not a finite number");
                }
                if let Some(slot) = scope.weights.get_mut(usize::from(signal.bit)) {
                    *slot = weight;
                }
            }
        }
        let missing = SIGNALS
            .iter()
            .find(|signal| whole && given & signal.fact().bits() == 0);
        missing.map_or(Ok(scopes), |signal| Err(RuleSetError::Missing(signal.name)))
    }
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
}

#[cfg(test)]
#[path = "ruleset_tests.rs"]
mod tests;
