//! What judging history again costs: to see what would change, and to change it.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use cupel::domain::judgement::RejudgeMode;
use cupel::domain::time::Micros;
use cupel::judge::{RuleSet, RuleSets};
use cupel::settle::Settler;
use cupel::store::{RuleSetRow, Store};

use crate::cost::Cost;

/// Judges all hits again, first to see what would change.
pub(crate) async fn rejudge(
    store: &Store,
    settler: &mut Settler,
    hits: u64,
    server: bool,
) -> anyhow::Result<()> {
    let shipped = RuleSet::shipped()?;
    let hosting = "\"net.hosting\" = { open = 0.0, click = 1.2 }";
    ensure!(
        shipped.text().contains(hosting),
        "the shipped weights are others"
    );
    let strict = shipped.text().replace(hosting, "\"net.hosting\" = 9.0");
    let strict = Arc::new(RuleSet::parse(
        &strict.replace("\"default\"", "\"strict\""),
    )?);
    let now = Micros::new(crate::made::BEGIN);
    let row = RuleSetRow {
        id: strict.id(),
        name: strict.name().to_owned(),
        version: strict.version(),
        text: strict.text().to_owned(),
        created_at: now,
    };
    store.keep_ruleset(&row).await?;
    let before = store.live_ruleset().await?.map_or(0, |used| used.number);
    ensure!(store.use_ruleset(row.id, false, before, now).await?);
    let known = RuleSets::new(strict, []);
    for mode in [RejudgeMode::DryRun, RejudgeMode::InForce] {
        let id = store.begin_rejudgement(row.id, mode, None, now).await?;
        let (began, before) = (Instant::now(), Cost::now(server));
        while settler.rejudge(store, &known, 0, now).await?.is_some() {}
        let cost = Cost::now(server).since(before);
        let took = began.elapsed().as_secs_f64();
        let done = store.rejudgement(id).await?.unwrap();
        ensure!(done.ended_at.is_some() && done.hits == hits, "{done:?}");
        let what = format!("judged again, {}, {} changed", mode.name(), done.changed);
        crate::report(&what, hits, took, cost);
    }
    Ok(())
}
