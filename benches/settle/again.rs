//! What judging history again costs: to see what would change, to count it in shadow, and to change
//! it. And rule sets in shadow, for what they cost settling.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use cupel::domain::judgement::RejudgeMode;
use cupel::domain::time::Micros;
use cupel::judge::{RuleSet, RuleSets};
use cupel::settle::Settler;
use cupel::store::{RuleSetRow, Store};

use crate::cost::Cost;

/// A rule set of this name by which hits from hosting companies are a machine's.
fn strict(name: &str) -> anyhow::Result<RuleSet> {
    let shipped = RuleSet::shipped()?;
    let hosting = "\"net.hosting\" = { open = 0.0, click = 1.2 }";
    ensure!(
        shipped.text().contains(hosting),
        "the shipped weights are others"
    );
    let strict = shipped.text().replace(hosting, "\"net.hosting\" = 9.0");
    Ok(RuleSet::parse(
        &strict.replace("\"default\"", &format!("\"{name}\"")),
    )?)
}

async fn keep(store: &Store, rules: &RuleSet, now: Micros) -> anyhow::Result<()> {
    let row = RuleSetRow {
        id: rules.id(),
        name: rules.name().to_owned(),
        version: rules.version(),
        text: rules.text().to_owned(),
        created_at: now,
    };
    store.keep_ruleset(&row).await?;
    Ok(())
}

/// Puts so many in shadow, before there is anything.
pub(crate) async fn in_shadow(
    store: &Store,
    settler: &mut Settler,
    count: u32,
) -> anyhow::Result<()> {
    let now = Micros::new(crate::made::BEGIN);
    settler.round(store, now).await?;
    for number in 0..count {
        let rules = Arc::new(strict(&format!("shadow-{number}"))?);
        keep(store, &rules, now).await?;
        store.begin_shadow(rules.id(), count, now).await?;
        let known = RuleSets::new(rules, []);
        while settler.rejudge(store, &known, 0, now).await?.is_some() {}
    }
    Ok(())
}

/// Judges all hits again.
pub(crate) async fn rejudge(
    store: &Store,
    settler: &mut Settler,
    hits: u64,
    server: bool,
) -> anyhow::Result<()> {
    let strict = Arc::new(strict("strict")?);
    let (id, now) = (strict.id(), Micros::new(crate::made::BEGIN));
    keep(store, &strict, now).await?;
    let before = store.live_ruleset().await?.map_or(0, |used| used.number);
    ensure!(store.use_ruleset(id, false, before, now).await?);
    let known = RuleSets::new(strict, []);
    for mode in [
        RejudgeMode::DryRun,
        RejudgeMode::Shadow,
        RejudgeMode::InForce,
    ] {
        let begun = match mode {
            RejudgeMode::Shadow => store.begin_shadow(id, 100, now).await?,
            _ => store.begin_rejudgement(id, mode, None, now).await?,
        };
        let (began, before) = (Instant::now(), Cost::now(server));
        while settler.rejudge(store, &known, 0, now).await?.is_some() {}
        let cost = Cost::now(server).since(before);
        let took = began.elapsed().as_secs_f64();
        let done = store.rejudgement(begun).await?.unwrap();
        ensure!(done.done && done.hits == hits, "{done:?}");
        store.end_rejudgement(begun, now).await?;
        let what = format!("judged again, {}, {} changed", mode.name(), done.changed);
        crate::report(&what, hits, took, cost);
    }
    Ok(())
}
