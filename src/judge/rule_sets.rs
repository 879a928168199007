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
    change: i64,
}

impl RuleSets {
    /// This one is live since that change of which one is; judgements of the others can be
    /// explained.
    pub fn new(
        live: Arc<RuleSet>,
        others: impl IntoIterator<Item = Arc<RuleSet>>,
        change: i64,
    ) -> Self {
        let others = others.into_iter().map(|rules| (rules.id(), rules));
        Self {
            live,
            others: others.collect(),
            change,
        }
    }

    /// The one that judges.
    #[must_use]
    pub const fn live(&self) -> &Arc<RuleSet> {
        &self.live
    }

    /// Counts the changes of which one is live, as the store does; 0 before it could be asked.
    #[must_use]
    pub const fn change(&self) -> i64 {
        self.change
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
