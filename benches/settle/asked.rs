//! What the fast set of statistics costs to ask for, and whether it is exact: against every event of
//! some campaigns, added up here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::ensure;
use cupel::domain::campaign::{CampaignId, LinkKind, TenantId};
use cupel::domain::destination::Destination;
use cupel::domain::hit::HitKind;
use cupel::domain::judgement::{Class, Ledger};
use cupel::domain::record::Target;
use cupel::domain::time::Micros;
use cupel::stats;
use cupel::store::{EventFilter, NewLink, Store};

/// Times that each campaign is asked for.
const ROUNDS: usize = 20;
/// As many as the API gives at a time.
const PAGE: u32 = 1_000;

/// Registers so many campaigns with so many links.
pub(crate) async fn register(store: &Store, campaigns: u32, links: u32) -> anyhow::Result<()> {
    let now = Micros::new(crate::made::BEGIN);
    let home = Destination::parse("https://home.example/").unwrap();
    for _ in 0..campaigns {
        let made = store.create_campaign(TenantId::FIRST, "bench", &home, now);
        let links = (1..=links).map(|n| NewLink {
            kind: LinkKind::Content,
            action: None,
            destination: Destination::parse(&format!("https://shop.example/{n}")).unwrap(),
            label: None,
        });
        let links: Vec<_> = links.collect();
        store.register_links(made.await?.id, &links, now).await?;
    }
    Ok(())
}

/// Asks as the API does, campaigns in turn, and prints how long that took.
pub(crate) async fn fast_set(store: &Store, campaigns: u32) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        for id in 1..=campaigns {
            let began = Instant::now();
            let links = store.links(CampaignId::new(id).unwrap()).await?;
            stats::campaign(store, Ledger::IN_FORCE, id, &links).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    took.sort_by(f64::total_cmp);
    let of = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "fast set, {} questions: p50 {:.2} ms, p95 {:.2} ms, most {:.2} ms",
        took.len(),
        of(0.5),
        of(0.95),
        of(1.0)
    );
    Ok(())
}

type Totals = BTreeMap<(HitKind, u32, Class), i64>;
type Messages = BTreeMap<(HitKind, Option<u32>), [BTreeSet<u32>; 2]>;

/// Adds up every event of a campaign, and compares.
pub(crate) async fn check(store: &Store, id: u32) -> anyhow::Result<u64> {
    let (mut totals, mut messages) = (Totals::new(), Messages::new());
    let mut filter = EventFilter {
        campaign: CampaignId::new(id),
        limit: PAGE,
        ..EventFilter::default()
    };
    let mut events = 0;
    loop {
        let page = store.events(&filter).await?;
        for stored in &page {
            let (hit, Target::Campaign(_, link)) = (&stored.hit, stored.hit.target) else {
                anyhow::bail!("an event of another target");
            };
            let class = hit.verdict.class;
            *totals.entry((hit.kind, link, class)).or_default() += 1;
            let number = hit.message.unwrap().0.number;
            for link in [Some(link), None] {
                let [raw, human] = messages.entry((hit.kind, link)).or_default();
                raw.insert(number);
                if class.is_human() {
                    human.insert(number);
                }
            }
        }
        events += page.len() as u64;
        let Some(last) = page.last() else { break };
        filter.after = Some((last.edge, last.sequence));
    }
    let mut stored = Totals::new();
    let counts = store.counts(Ledger::IN_FORCE, id).await?;
    for row in counts.sums {
        *stored.entry((row.kind, row.link, row.class)).or_default() += row.hits;
    }
    // A class that everybody left stands there with 0.
    stored.retain(|_, hits| *hits != 0);
    ensure!(stored == totals, "campaign {id}: sums differ from events");
    let counted = messages.into_iter().map(|(key, [raw, human])| {
        let count = |set: BTreeSet<u32>| set.len() as i64;
        (key, (count(raw), count(human)))
    });
    let counted: BTreeMap<_, _> = counted.collect();
    let uniques = counts
        .uniques
        .into_iter()
        .map(|row| ((row.kind, row.link), (row.raw, row.human)));
    let uniques: BTreeMap<_, _> = uniques.collect();
    ensure!(
        uniques == counted,
        "campaign {id}: uniques differ from events"
    );
    Ok(events)
}
