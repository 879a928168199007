//! What became of every request, and what a server may therefore have stored.
//!
//! Owns one state for each id. Its promise to check: answered ⊆ stored ⊆ sent, each once.

use std::fmt;

const UNSENT: u16 = 0;
const SENT: u16 = 1;

/// Ids that a [`Verdict`] names for each kind of fault.
const NAMED_MAX: usize = 10;

/// The state of every id: never sent, sent (in whole or in part), or answered with a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    /// By id: 0 never sent, 1 sent, otherwise the status of the answer that was read in full.
    states: Vec<u16>,
}

impl Oracle {
    /// At least one byte went out.
    pub fn sent(&mut self, id: u64) {
        self.set(id, SENT);
    }

    /// The answer was read to its end.
    pub fn answered(&mut self, id: u64, status: u16) {
        self.set(id, status);
    }

    fn set(&mut self, id: u64, state: u16) {
        let Ok(at) = usize::try_from(id) else { return };
        if at >= self.states.len() {
            self.states.resize(at + 1, UNSENT);
        }
        if let Some(old) = self.states.get_mut(at) {
            *old = state.max(*old);
        }
    }

    /// Takes over what another has seen; each id was seen by one of them.
    pub fn add(&mut self, other: &Self) {
        for (id, state) in (0..).zip(&other.states) {
            if *state != UNSENT {
                self.set(id, *state);
            }
        }
    }

    /// Whether a byte of the request went out.
    #[must_use]
    pub fn was_sent(&self, id: u64) -> bool {
        self.state(id) != UNSENT
    }

    /// The status of its answer, if that was read in full.
    #[must_use]
    pub fn status(&self, id: u64) -> Option<u16> {
        Some(self.state(id)).filter(|state| *state > SENT)
    }

    fn state(&self, id: u64) -> u16 {
        let at = usize::try_from(id).ok();
        at.and_then(|at| self.states.get(at))
            .map_or(UNSENT, |state| *state)
    }

    /// Ids that were sent, and the status of those that were answered.
    pub fn ids(&self) -> impl Iterator<Item = (u64, Option<u16>)> {
        (0..)
            .zip(&self.states)
            .filter(|(_, state)| **state != UNSENT)
            .map(|(id, state)| (id, Some(*state).filter(|state| *state > SENT)))
    }

    /// Holds what is stored against what was sent and answered. An answer from 400 on promises
    /// nothing: its request may be stored or not.
    #[must_use]
    pub fn check(&self, stored: impl IntoIterator<Item = u64>) -> Verdict {
        self.check_if(|status| status < 400, stored)
    }

    /// As [`Oracle::check`], where the caller says which statuses promise that a hit is kept.
    #[must_use]
    pub fn check_if(
        &self,
        promises: impl Fn(u16) -> bool,
        stored: impl IntoIterator<Item = u64>,
    ) -> Verdict {
        let mut seen = vec![false; self.states.len()];
        let mut verdict = Verdict::default();
        for id in stored {
            verdict.stored += 1;
            let at = usize::try_from(id).ok().filter(|_| self.was_sent(id));
            match at.and_then(|at| seen.get_mut(at)) {
                None => verdict.unsent.push(id),
                Some(seen) if *seen => verdict.doubled.push(id),
                Some(seen) => *seen = true,
            }
        }
        for (id, status) in self.ids() {
            verdict.sent += 1;
            let Some(status) = status else { continue };
            if !promises(status) {
                verdict.refused += 1;
                continue;
            }
            verdict.answered += 1;
            let stored = usize::try_from(id).ok().and_then(|at| seen.get(at));
            if stored != Some(&true) {
                verdict.missing.push(id);
            }
        }
        verdict
    }
}

/// Ids with a fault: how many, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many.
    pub count: u64,
    /// The first of them, in the order in which they were found.
    pub first: Vec<u64>,
}

impl Faults {
    fn push(&mut self, id: u64) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(id);
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        for (at, id) in self.first.iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { " (" } else { ", " })?;
        }
        let more = self.count > self.first.len() as u64;
        let end = if more { ", …)" } else { ")" };
        f.write_str(if self.first.is_empty() { "" } else { end })
    }
}

/// What [`Oracle::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Requests of which a byte went out.
    pub sent: u64,
    /// Answers that promise a stored hit.
    pub answered: u64,
    /// Answers that promise nothing.
    pub refused: u64,
    /// Ids that were handed in.
    pub stored: u64,
    /// Answered and not stored.
    pub missing: Faults,
    /// Stored again, each time.
    pub doubled: Faults,
    /// Stored and never sent.
    pub unsent: Faults,
}

impl Verdict {
    /// Whether answered ⊆ stored ⊆ sent, each once.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing.count + self.doubled.count + self.unsent.count == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "holds" } else { "BROKEN" };
        write!(
            f,
            "{word}: {} sent, {} answered, {} refused, {} stored; missing {}, doubled {}, \
             stored but never sent {}",
            self.sent,
            self.answered,
            self.refused,
            self.stored,
            self.missing,
            self.doubled,
            self.unsent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 to 9 answered, 10 and 11 sent, 12 refused, 13 never sent.
    fn oracle() -> Oracle {
        let mut oracle = Oracle::default();
        (0..=12).for_each(|id| oracle.sent(id));
        (0..10).for_each(|id| oracle.answered(id, 302));
        oracle.answered(12, 503);
        oracle
    }

    #[test]
    fn what_was_answered_must_and_what_was_sent_may_be_stored() {
        let held = oracle().check(0..10);
        assert!(held.holds(), "{held}");
        assert_eq!((held.sent, held.answered, held.refused), (13, 10, 1));
        assert!(oracle().check(0..=12).holds());
        assert!(!oracle().check_if(|_| true, 0..10).holds());
    }

    #[test]
    fn missing_doubled_and_unsent_are_told_apart() {
        let stored = (1..10).chain([4, 4, 10, 13, 99]);
        let found = oracle().check(stored);
        assert_eq!(found.missing.first, [0]);
        assert_eq!(found.doubled.first, [4, 4]);
        assert_eq!(found.unsent.first, [13, 99]);
        assert_eq!(
            found.to_string(),
            "BROKEN: 13 sent, 10 answered, 1 refused, 14 stored; missing 1 (0), doubled 2 (4, 4), \
             stored but never sent 2 (13, 99)"
        );
    }

    #[test]
    fn many_faults_are_counted_and_few_named() {
        let mut oracle = Oracle::default();
        (0..1000).for_each(|id| oracle.answered(id, 302));
        let found = oracle.check([]);
        assert_eq!(found.missing.count, 1000);
        assert!(
            found
                .to_string()
                .contains("missing 1000 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)")
        );
    }

    #[test]
    fn threads_add_up() {
        let (mut even, mut odd) = (Oracle::default(), Oracle::default());
        (0..10).step_by(2).for_each(|id| even.answered(id, 302));
        (1..10).step_by(2).for_each(|id| odd.sent(id));
        even.add(&odd);
        assert_eq!(even.ids().count(), 10);
        assert_eq!((even.status(2), even.status(3)), (Some(302), None));
    }
}
