//! Which rule set judges: what the store says, wherever it can be asked.

use std::sync::Arc;

use crate::domain::time::Micros;
use crate::judge::{RuleSet, RuleSets};
use crate::store::{RuleSetRow, Store, StoreError};

use super::Parts;

/// Takes over which rule set is live, and gives the store the one that is shipped.
///
/// # Errors
/// The store is not available; the one before goes on judging.
pub async fn take_rule_sets(parts: &Parts, store: &Store) -> Result<(), StoreError> {
    let before = parts.rules.load_full();
    let now = parts.clock.now();
    let taken = rule_sets(store, &parts.shipped_rules, &before, now).await?;
    if taken.live().id() != before.live().id() {
        let (ruleset, before) = (taken.live().label(), before.live().label());
        tracing::info!(ruleset, before, "web: judges by another rule set");
    }
    parts.rules.store(Arc::new(taken));
    Ok(())
}

/// The rule sets that a store knows. The one that is `shipped` is kept there, and live if none was,
/// or if an older one was that had come with the program, too.
///
/// # Errors
/// The store is not available.
pub async fn rule_sets(
    store: &Store,
    shipped: &RuleSet,
    before: &RuleSets,
    now: Micros,
) -> Result<RuleSets, StoreError> {
    match store.keep_ruleset(&row_of(shipped, now)).await {
        Err(StoreError::Conflict(what)) => {
            // One in 65,536 has the id of another; then that one goes on.
            tracing::error!(
                ruleset = shipped.label(),
                "web: not kept, {what} exists already"
            );
        }
        kept => drop(kept?),
    }
    let rows = store.rulesets().await?;
    let mut used = store.live_ruleset().await?;
    let is_older = |row: &&RuleSetRow| row.version < shipped.version();
    let gives_way = used.is_none_or(|used| {
        let row = rows.iter().find(|row| row.id == used.ruleset);
        used.shipped && row.as_ref().is_some_and(is_older)
    });
    if gives_way && rows.iter().any(|row| row.id == shipped.id()) {
        store.use_ruleset(shipped.id(), true, now).await?;
        used = store.live_ruleset().await?;
    }
    let known: Vec<_> = rows.iter().filter_map(kept).collect();
    let live = used.and_then(|used| known.iter().find(|rules| rules.id() == used.ruleset));
    let live = live.unwrap_or(before.live());
    Ok(RuleSets::new(
        Arc::clone(live),
        known.iter().cloned(),
        used.map_or(0, |used| used.number),
    ))
}

/// A rule set as it is stored.
pub(super) fn row_of(rules: &RuleSet, now: Micros) -> RuleSetRow {
    RuleSetRow {
        id: rules.id(),
        name: rules.name().to_owned(),
        version: rules.version(),
        text: rules.text().to_owned(),
        created_at: now,
    }
}

/// A stored rule set; `None` if this version cannot read it.
fn kept(row: &RuleSetRow) -> Option<Arc<RuleSet>> {
    let read = RuleSet::kept(&row.text);
    read.map_err(|error| {
        let ruleset = format!("{}@{}", row.name, row.version);
        tracing::warn!(ruleset, %error, "web: a rule set cannot be read");
    })
    .ok()
    .map(Arc::new)
}
