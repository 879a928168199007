//! What settling adds to the facts of a hit: when it came, and what else its message saw.
//!
//! Owns: what a settled rule may look at, and the settled facts. Refuses: other messages, chains of
//! evidence (a rule reads what was observed of the others, never what was concluded), and guesses:
//! `minted_at` is a lower bound of the send time and is used as nothing else.

use std::sync::LazyLock;

use super::signals::{SETTLED, SIGNALS, Signal};
use super::windows::Windows;
use crate::domain::judgement::Facts;
use crate::domain::neighbour::Neighbour;
use crate::domain::time::Micros;

/// Settled rules, and the facts they find: out of all signals, twice for every hit.
static RULES: LazyLock<Vec<(u8, SettledRule)>> = LazyLock::new(|| {
    let settled = |signal: &Signal| Some((signal.bit, signal.around()?));
    SIGNALS.iter().filter_map(settled).collect()
});

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
}

#[cfg(test)]
#[path = "around_tests/mod.rs"]
mod tests;
