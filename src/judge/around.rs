//! What settling adds to the facts of a hit: when it came, and what else its message saw.
//!
//! Owns: what a settled rule may look at, and the settled facts. Refuses: other messages, chains of
//! evidence (a rule reads what was observed of the others, never what was concluded), and guesses:
//! `minted_at` is a lower bound of the send time and is used as nothing else.

use std::sync::LazyLock;

use super::rules::neighbours::links;
use super::signals::{ALL_LINKS, RAPID, SETTLED, SIGNALS, Signal};
use super::windows::Windows;
use crate::domain::judgement::Facts;
use crate::domain::neighbour::Neighbour;
use crate::domain::time::Micros;

/// Settled rules, and the facts they find: out of all signals, twice for every hit.
static RULES: LazyLock<Vec<(u8, SettledRule)>> = LazyLock::new(|| {
    let settled = |signal: &Signal| Some((signal.bit, signal.around()?));
    SIGNALS.iter().filter_map(settled).collect()
});

/// Facts that every hit of a sweep has one of.
pub const SWEEPS: Facts = Facts::NONE.with(ALL_LINKS).with(RAPID);

type SettledRule = fn(&Around<'_>) -> bool;

/// What a settled rule sees: a hit, and what came around it.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The hit.
    pub hit: &'a Neighbour,
    /// The hits of its message, this one among them, or some of them where there are very many; in
    /// any order.
    pub company: &'a [Neighbour],
    /// When the recipient's server accepted the mail, if a delivery event said so.
    pub accepted_at: Option<Micros>,
    /// When the token was made: the mail was not accepted before.
    pub minted_at: Option<Micros>,
    /// How many links of the campaign a reader can follow; 0 if that is not known.
    pub links: u32,
    /// Whether its source had swept other messages ([`Around::swept_at`]).
    pub swept_before: bool,
    /// Lengths of time that the rules go by.
    pub windows: &'a Windows,
}

impl Around<'_> {
    /// The facts of the hit with what came around it. Settling again, with more around, replaces
    /// what an earlier settling had added.
    #[must_use]
    pub fn settle(&self) -> Facts {
        let observed = Facts::from_bits(self.hit.facts.bits() & !SETTLED);
        RULES
            .iter()
            .filter(|(_, holds)| holds(self))
            .fold(observed, |facts, (bit, _)| facts.with(*bit))
    }

    /// When the source of the hit had first gone through the message as no reader does: all links
    /// that the campaign has, or most of them with five in a moment. It can be told of a hit
    /// with one of the facts of [`SWEEPS`].
    #[must_use]
    pub fn swept_at(&self) -> Option<Micros> {
        links::swept_at(self)
    }
}

#[cfg(test)]
#[path = "around_tests/mod.rs"]
mod tests;
