//! Which rule set judges: what the store says, wherever it can be asked.

use std::sync::Arc;

use crate::domain::time::Micros;
use crate::judge::{RuleSet, RuleSets};
use crate::store::{RuleSetRow, RuleSetUse, Store, StoreError};

use super::Parts;

/// Gives the store the rule set that is shipped and the one that is live here, and takes over what
/// is live there.
///
/// # Errors
/// The store is not available; the one before goes on judging.
pub async fn exchange_rulesets(parts: &Parts, store: &Store) -> Result<(), StoreError> {
    let before = parts.rules.load_full();
    let now = parts.clock.now();
    offer_rulesets(store, &parts.shipped_rules, before.live(), now).await?;
    take_rulesets(parts, store).await
}

/// Takes over which rule set is live.
///
/// # Errors
/// The store is not available; the one before goes on judging.
pub async fn take_rulesets(parts: &Parts, store: &Store) -> Result<(), StoreError> {
    let before = parts.rules.load_full();
    put_in_force(parts, known_rulesets(store, before.live()).await?);
    Ok(())
}

fn put_in_force(parts: &Parts, taken: RuleSets) {
    let before = parts.rules.load_full();
    if taken.live().id() != before.live().id() {
        let (ruleset, before) = (taken.live().label(), before.live().label());
        tracing::info!(ruleset, before, "web: judges by another rule set");
    }
    if let Some(unread) = taken.unread().filter(|_| taken.unread() != before.unread()) {
        let ruleset = taken.live().label();
        tracing::error!(
            ruleset,
            unread,
            "web: the live rule set cannot be read; judges by another"
        );
    }
    parts.rules.store(Arc::new(taken));
}

/// Keeps the shipped rule set in a store, and the one that is live here, which it may have lost.
/// The shipped one is live if none was, or if an older one was that had come with the program, too.
///
/// # Errors
/// The store is not available.
pub async fn offer_rulesets(
    store: &Store,
    shipped: &RuleSet,
    live: &RuleSet,
    now: Micros,
) -> Result<(), StoreError> {
    for rules in [shipped, live] {
        match store.keep_ruleset(&row_of(rules, now)).await {
            Err(StoreError::Conflict(what)) => {
                // One in 65,536 has the id of another. What is live there goes on.
                let ruleset = rules.label();
                tracing::error!(ruleset, "web: not kept: {what} is there already");
            }
            kept => drop(kept?),
        }
    }
    loop {
        let (rows, used) = (store.rulesets().await?, store.live_ruleset().await?);
        let kept = |rules: &RuleSet| rows.iter().any(|row| row.text == rules.text());
        let row_in_use = |used: RuleSetUse| rows.iter().find(|row| row.id == used.ruleset);
        let next = match used {
            None if live.name() != RuleSet::SHIPPED && kept(live) => (live, false),
            None => (shipped, true),
            Some(used) if !used.shipped => return Ok(()),
            Some(used) => match row_in_use(used) {
                Some(row) if row.version >= shipped.version() => return Ok(()),
                _ => (shipped, true),
            },
        };
        let (rules, as_shipped) = next;
        let after = used.map_or(0, |used| used.number);
        let done = !kept(rules)
            || store
                .use_ruleset(rules.id(), as_shipped, after, now)
                .await?;
        // Where another node came between, it is looked at again.
        if done {
            return Ok(());
        }
    }
}

/// The rule sets that a store knows. Where the live one cannot be read, `before` stays so.
///
/// # Errors
/// The store is not available.
pub async fn known_rulesets(store: &Store, before: &Arc<RuleSet>) -> Result<RuleSets, StoreError> {
    let (rows, used) = (store.rulesets().await?, store.live_ruleset().await?);
    Ok(known(&rows, used, before))
}

/// The same of rows that were read.
pub(super) fn known(
    rows: &[RuleSetRow],
    used: Option<RuleSetUse>,
    before: &Arc<RuleSet>,
) -> RuleSets {
    let known: Vec<_> = rows.iter().filter_map(read).collect();
    let wanted = used.and_then(|used| rows.iter().find(|row| row.id == used.ruleset));
    let found = wanted.and_then(|row| known.iter().find(|rules| rules.text() == row.text));
    let live = Arc::clone(found.unwrap_or(before));
    let kept = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let all = RuleSets::new(live, known.iter().cloned());
    let all = all.seen(used.map_or(0, |used| used.number), kept);
    match wanted.filter(|_| found.is_none()) {
        Some(row) => all.instead_of(label(row)),
        None => all,
    }
}

/// Puts one in force that was made live by the use of this number.
pub(super) fn put_live(parts: &Parts, rows: &[RuleSetRow], used: RuleSetUse) {
    let before = parts.rules.load_full();
    put_in_force(parts, known(rows, Some(used), before.live()));
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

/// Name and version.
pub(super) fn label(row: &RuleSetRow) -> String {
    format!("{}@{}", row.name, row.version)
}

/// A stored rule set; `None` if this version cannot read it.
fn read(row: &RuleSetRow) -> Option<Arc<RuleSet>> {
    let read = RuleSet::kept(&row.text);
    read.map_err(|error| {
        let ruleset = label(row);
        tracing::warn!(ruleset, %error, "web: a rule set cannot be read");
    })
    .ok()
    .map(Arc::new)
}
