//! The judge: who made a hit, a person or a machine, and why.
//!
//! Owns: the signals, the agent lists, the rule sets, the score and the class. A judgement is a
//! pure function of a request, read-only tables and a rule set, in two steps: `observe` (later
//! `Around::settle`) turns a hit into facts, one bit each, and `judge` weighs the facts. Facts are
//! stored, so any rule set can judge any hit again.
//!
//! Refuses: I/O, clocks, and any say in what the reader gets.
//!
//! The score is the sum of log-odds made a chance: `100 * logistic(prior + weights)`, to one
//! decimal. Below `human_max` a hit is a person's, or a person's through an image proxy; from
//! `machine_min` on it is a machine's, of the class for which the strongest single piece of
//! evidence speaks (the first in `SIGNALS`, if two are equal); between them nobody can say. The
//! bounds are compared with the rounded score, so what is shown is what was decided on.

pub mod about;
pub mod agent;
mod agent_lists;
mod around;
pub mod claims;
mod evidence;
mod family;
pub mod headers;
mod known_agents;
mod known_rulesets;
mod own;
mod rules;
pub mod ruleset;
mod ruleset_error;
pub mod signals;
mod why;
mod windows;

pub use about::{about, holds};
pub use agent::{AgentFacts, AgentKind, Agents};
pub use around::{Around, SWEEPS};
pub use evidence::{Evidence, evident, is_evident};
pub use headers::Headers;
pub use known_agents::KnownAgents;
pub use known_rulesets::RuleSets;
pub use own::{Own, OwnEntry};
pub use ruleset::RuleSet;
pub use signals::{Observed, SIGNALS, Signal, observe};

pub use why::{Turn, rests_on, sum, turn};
pub use windows::Windows;

use crate::domain::hit::HitKind;
use crate::domain::judgement::{Class, Facts, Score, Verdict};
use ruleset::Scope;
use signals::{NET_IMAGE_PROXY, ONE_CLICK, UA_IMAGE_PROXY};

/// A judgement with everything needed to redo its sum by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Log-odds before any evidence.
    pub prior: f64,
    /// Every signal that holds, with its log-odds, in order of `SIGNALS`. Those worth 0 are
    /// named too: they can decide between a person and a person seen through a proxy.
    pub signals: Vec<(&'static str, f64)>,
    /// Score and class.
    pub verdict: Verdict,
}

/// The signal of each bit.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const OF_BIT: [Option<&Signal>; 64] = {
    let mut signals = [None; 64];
    let mut index = 0;
    while index < SIGNALS.len() {
        signals[SIGNALS[index].bit as usize] = Some(&SIGNALS[index]);
        index += 1;
    }
    signals
};

/// Judges a hit by its facts. Allocates nothing.
#[must_use]
pub fn judge(rules: &RuleSet, kind: HitKind, facts: Facts) -> Verdict {
    let scope = rules.scope(kind);
    let mut sum = scope.prior;
    let mut strongest = (0.0, Class::Suspect);
    for (bit, weight) in weighed(scope, facts) {
        sum += weight;
        if weight > strongest.0 {
            strongest = (
                weight,
                signal(bit).map_or(Class::Suspect, |signal| signal.class),
            );
        }
    }
    let score = score(sum);
    let percent = score.percent();
    let class = if facts.has(ONE_CLICK) {
        // By rule: it comes from a mailbox provider's servers, and a person pressed there.
        Class::Proxied
    } else if percent >= rules.machine_min() {
        strongest.1
    } else if percent >= rules.human_max() {
        Class::Suspect
    } else if kind == HitKind::Open && (facts.has(UA_IMAGE_PROXY) || facts.has(NET_IMAGE_PROXY)) {
        Class::Proxied
    } else {
        Class::Human
    };
    Verdict { score, class }
}

/// Judges a hit and lists what the judgement rests on.
#[must_use]
pub fn explain(rules: &RuleSet, kind: HitKind, facts: Facts) -> Explained {
    let scope = rules.scope(kind);
    let signals = weighed(scope, facts)
        .filter_map(|(bit, weight)| Some((signal(bit)?.name, weight)))
        .collect();
    Explained {
        prior: scope.prior,
        signals,
        verdict: judge(rules, kind, facts),
    }
}

/// Names of the signals that hold, in order of `SIGNALS`.
pub fn signals(facts: Facts) -> impl Iterator<Item = &'static str> {
    holding(facts).map(|signal| signal.name)
}

/// The signals that hold, in order of `SIGNALS`.
pub fn holding(facts: Facts) -> impl Iterator<Item = &'static Signal> {
    let holds = move |signal: &&Signal| facts.has(signal.bit);
    SIGNALS.iter().filter(holds)
}

fn signal(bit: usize) -> Option<&'static Signal> {
    OF_BIT.get(bit).copied().flatten()
}

/// The facts that hold, by bit, with their weights. A fact of a newer version weighs nothing.
fn weighed(scope: &Scope, facts: Facts) -> impl Iterator<Item = (usize, f64)> + '_ {
    let mut bits = facts.bits();
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let bit = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some((bit, scope.weights.get(bit).copied().unwrap_or(0.0)))
    })
}

/// The chance, in tenths of a per cent, that log-odds stand for.
fn score(log_odds: f64) -> Score {
    let tenths = (1000.0 / (1.0 + (-log_odds).exp())).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000: a logistic of finite weights, rounded"
    )]
    Score::from_tenths(tenths as u16)
}

#[cfg(test)]
mod tests;
