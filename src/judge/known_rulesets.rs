//! The rule sets that a process knows: the one it judges by, and those that judged before.

use std::collections::HashMap;
use std::sync::Arc;

use super::RuleSet;
use crate::domain::judgement::RuleSetId;

/// Rule sets, one of them live.
#[derive(Clone, Debug)]
pub struct RuleSets {
    live: Arc<RuleSet>,
    others: HashMap<RuleSetId, Arc<RuleSet>>,
    unread: Option<String>,
    seen: (i64, i64),
}

impl RuleSets {
    /// This one is live; judgements of the others can be explained.
    pub fn new(live: Arc<RuleSet>, others: impl IntoIterator<Item = Arc<RuleSet>>) -> Self {
        let others = others.into_iter().map(|rules| (rules.id(), rules));
        Self {
            live,
            others: others.collect(),
            unread: None,
            seen: (0, 0),
        }
    }

    /// As of these numbers of the store: the last use of one, and how many are kept.
    #[must_use]
    pub fn seen(self, use_number: i64, kept: i64) -> Self {
        Self {
            seen: (use_number, kept),
            ..self
        }
    }

    /// In the place of another of this name, which cannot be read here.
    #[must_use]
    pub fn instead_of(self, unread: String) -> Self {
        Self {
            unread: Some(unread),
            ..self
        }
    }

    /// The one that judges.
    #[must_use]
    pub const fn live(&self) -> &Arc<RuleSet> {
        &self.live
    }

    /// The one that should judge, if this version cannot read it.
    #[must_use]
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// What was seen of the store: the number of the last use, and how many are kept; 0 before it
    /// could be asked.
    #[must_use]
    pub const fn as_of(&self) -> (i64, i64) {
        self.seen
    }

    /// The one of this id, if it is known.
    #[must_use]
    pub fn of(&self, id: RuleSetId) -> Option<&Arc<RuleSet>> {
        match id == self.live.id() {
            true => Some(&self.live),
            false => self.others.get(&id),
        }
    }
}
