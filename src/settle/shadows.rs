//! Rule sets in shadow: what they say of a hit is counted beside what is in force, of every hit
//! that they have been asked about.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::hit::HitKind;
use crate::domain::judgement::{Class, Facts, Ledger};
use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::judge::{self, RuleSet};
use crate::store::{LookedAt, OpenRejudgement, Rejudgement, Store};

use super::sweepers::Sweepers;
use super::totals::Counting;
use super::{SettleError, Settler, is_near};

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    pub(super) ledger: Ledger,
    rules: Arc<RuleSet>,
    /// What it has been asked about.
    looked_at: BTreeMap<Shard, LookedAt>,
}

impl Shadow {
    /// Whether a hit is counted: it stands where this one has been, or came after that.
    pub(super) fn covers(&self, hit: &Counting) -> bool {
        match self.looked_at.get(&Shard::of(hit.message, hit.place.1)) {
            Some(LookedAt::All) => true,
            Some(LookedAt::To(to)) => hit.place <= *to,
            None => false,
        }
    }

    /// What it says of these facts.
    pub(super) fn class(&self, kind: HitKind, facts: Facts) -> Class {
        judge::judge(&self.rules, kind, facts).class
    }

    /// It has been asked about more.
    pub(super) fn look(&mut self, shard: Shard, looked_at: LookedAt) {
        self.looked_at.insert(shard, looked_at);
    }
}

impl Settler {
    /// Those among these rejudgements, as far as they are counted by now. Nobody but who settles a
    /// shard goes on with it there.
    pub(super) async fn shadows(
        &mut self,
        store: &Store,
        open: &[OpenRejudgement],
        now: Micros,
    ) -> Result<Vec<Shadow>, SettleError> {
        let mut shadows = Vec::new();
        for (rejudgement, looked_at) in open {
            let Some(ledger) = rejudgement.ledger() else {
                continue;
            };
            if let Some(rules) = self.shadow_rules(store, rejudgement, now).await? {
                shadows.push(Shadow {
                    ledger,
                    rules,
                    looked_at: looked_at.clone(),
                });
            }
        }
        let counted: Vec<_> = shadows.iter().map(|shadow| shadow.ledger).collect();
        if self.shadows_known != counted {
            (self.shadows_known, self.forgot_at) = (counted, None);
        }
        Ok(shadows)
    }

    /// Removes some of what was counted for rule sets that are not in shadow any more, and of old
    /// sweeps. All of it is gone sooner or later, also what somebody counted who had not heard of
    /// the end.
    pub(super) async fn forget(&mut self, store: &Store, now: Micros) -> Result<(), SettleError> {
        if self.forgot_at.is_some_and(|at| is_near(at, now)) {
            return Ok(());
        }
        let more = store.forget_sweeps(Sweepers::since(now)).await?;
        if !store.forget_shadow().await? && !more {
            self.forgot_at = Some(now);
        }
        Ok(())
    }

    /// What is counted for a rejudgement; without it, that is at its end.
    async fn shadow_rules(
        &mut self,
        store: &Store,
        rejudgement: &Rejudgement,
        now: Micros,
    ) -> Result<Option<Arc<RuleSet>>, SettleError> {
        let id = rejudgement.ruleset;
        if let Some(rules) = self.shadow_rules.get(&id) {
            return Ok(Some(Arc::clone(rules)));
        }
        let rows = store.rulesets().await?;
        let row = rows.iter().find(|row| row.id == id);
        let why = match row.map(|row| RuleSet::kept(&row.text)) {
            Some(Ok(rules)) => {
                let rules = Arc::new(rules);
                self.shadow_rules.insert(id, Arc::clone(&rules));
                return Ok(Some(rules));
            }
            Some(Err(error)) => error.to_string(),
            None => "the store has lost it".to_owned(),
        };
        // To leave out some hits would make all its counts wrong.
        let number = rejudgement.id;
        tracing::error!(
            number,
            why,
            "settle: ended a rule set in shadow that cannot be read"
        );
        store.end_rejudgement(number, now).await?;
        Ok(None)
    }
}
