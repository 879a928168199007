//! Hits of which something else than weights says whose they are: what a rule set is measured
//! against. Evidence, and not the truth: those who press are not everybody, and gateways that sweep
//! are the loud ones.

use super::signals::{ALL_LINKS, HONEYPOT, MARKED_SOURCE, PRESS_PASSED, PRESSED};
use super::{RuleSet, judge};
use crate::domain::hit::HitKind;
use crate::domain::judgement::{Facts, Verdict};

/// What says whose a hit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Its source pressed a button, passing every check, and stands in no burst: a person.
    Press,
    /// Its source swept all links: a machine.
    Sweep,
    /// On a link that nobody can see: a machine.
    Honeypot,
}

impl Evidence {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Press, Self::Sweep, Self::Honeypot];

    /// Its name in API and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Press => "press",
            Self::Sweep => "sweep",
            Self::Honeypot => "honeypot",
        }
    }

    /// Whether it speaks for a person.
    #[must_use]
    pub const fn is_for_person(self) -> bool {
        matches!(self, Self::Press)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Press => PRESSED,
            Self::Sweep => ALL_LINKS,
            Self::Honeypot => HONEYPOT,
        }
    }

    /// Whether it holds of a hit with these facts.
    #[must_use]
    pub const fn holds(self, facts: Facts) -> bool {
        facts.has(self.bit())
    }

    /// The facts without what the evidence itself gave: who is judged by it proves nothing.
    fn without(self, facts: Facts) -> Facts {
        let own = match self {
            Self::Press => 1 << PRESSED | 1 << PRESS_PASSED,
            Self::Sweep => 1 << ALL_LINKS,
            Self::Honeypot => 1 << HONEYPOT | 1 << MARKED_SOURCE,
        };
        Facts::from_bits(facts.bits() & !own)
    }

    /// What a rule set would say of such a hit if the evidence itself were not known.
    #[must_use]
    pub fn judge_without(self, rules: &RuleSet, kind: HitKind, facts: Facts) -> Verdict {
        judge(rules, kind, self.without(facts))
    }
}

/// Those of a hit's facts that are evidence.
#[must_use]
pub fn evident(facts: Facts) -> Facts {
    const ALL: u64 = 1 << PRESSED | 1 << ALL_LINKS | 1 << HONEYPOT;
    Facts::from_bits(facts.bits() & ALL)
}

/// Whether there is evidence of a hit with these facts.
#[must_use]
pub fn is_evident(facts: Facts) -> bool {
    evident(facts) != Facts::default()
}
