//! Questions to reports: what the sums say of a campaign or short link.
//!
//! "total" is the number of hits that count, "unique" the number of messages with at least one,
//! "anonymous" those of the total without a message. Raw and human stand side by side; human is
//! the part of classes `human` and `proxied`.

mod calibration;
mod share;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Ledger};
use crate::domain::time::Micros;
use crate::store::{Counts, LinkRow, Store, StoreError, SumRow, UniqueRow};

pub use calibration::{Calibration, calibration};
pub use share::{Estimate, percent, wilson};

/// One counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// Hits.
    pub total: i64,
    /// Messages; `None` where hits have none.
    pub unique: Option<i64>,
    /// Hits without a message.
    pub anonymous: i64,
}

/// Counters of every kind of hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    opens: Counter,
    clicks: Counter,
    pages: Counter,
    presses: Counter,
    unsubscribes: Counter,
}

impl Counters {
    fn of(&mut self, kind: HitKind) -> &mut Counter {
        match kind {
            HitKind::Open => &mut self.opens,
            HitKind::Click => &mut self.clicks,
            HitKind::Page => &mut self.pages,
            HitKind::Press => &mut self.presses,
            HitKind::Unsubscribe => &mut self.unsubscribes,
        }
    }
}

/// Counters with and without machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RawAndHuman {
    /// Everything that counts.
    pub raw: Counters,
    /// The part of human classes.
    pub human: Counters,
}

impl RawAndHuman {
    fn add(&mut self, row: &SumRow) {
        let raw = self.raw.of(row.kind);
        raw.total += row.hits;
        raw.anonymous += row.anonymous;
        if row.class.is_human() {
            let human = self.human.of(row.kind);
            human.total += row.hits;
            human.anonymous += row.anonymous;
        }
    }

    fn set_unique(&mut self, row: &UniqueRow) {
        self.raw.of(row.kind).unique = Some(row.raw);
        self.human.of(row.kind).unique = Some(row.human);
    }

    /// Messages that never had a hit of a kind are 0, not unknown.
    fn with_messages(mut self) -> Self {
        for kind in HitKind::ALL {
            self.raw.of(*kind).unique.get_or_insert(0);
            self.human.of(*kind).unique.get_or_insert(0);
        }
        self
    }
}

/// One link's counters.
#[derive(Clone, Debug, Serialize)]
pub struct LinkReport {
    number: u32,
    url: String,
    kind: &'static str,
    label: Option<String>,
    #[serde(flatten)]
    counters: RawAndHuman,
}

/// All there is to say of a campaign.
#[derive(Clone, Debug, Serialize)]
pub struct CampaignReport {
    #[serde(flatten)]
    counters: RawAndHuman,
    by_class: BTreeMap<&'static str, i64>,
    by_method: BTreeMap<&'static str, i64>,
    links: Vec<LinkReport>,
    settled_to: Option<Micros>,
    silent_edges: Vec<String>,
}

/// All there is to say of a short link: uniques are null, since it has no messages.
#[derive(Clone, Debug, Serialize)]
pub struct ShortLinkReport {
    raw: BTreeMap<&'static str, Counter>,
    human: BTreeMap<&'static str, Counter>,
    by_class: BTreeMap<&'static str, i64>,
    by_method: BTreeMap<&'static str, i64>,
    settled_to: Option<Micros>,
    silent_edges: Vec<String>,
}

/// Reports on a campaign with these links, by the judgements of this ledger.
///
/// # Errors
/// The store is not available.
pub async fn campaign(
    store: &Store,
    ledger: Ledger,
    id: u32,
    links: &[LinkRow],
) -> Result<CampaignReport, StoreError> {
    let Counts { sums, uniques } = store.counts(ledger, id).await?;
    let mut whole = RawAndHuman::default();
    let mut by_link: BTreeMap<u32, RawAndHuman> = BTreeMap::new();
    for row in sums.iter().filter(|row| row.counted) {
        whole.add(row);
        by_link.entry(row.link).or_default().add(row);
    }
    for row in &uniques {
        match row.link {
            None => whole.set_unique(row),
            Some(link) => by_link.entry(link).or_default().set_unique(row),
        }
    }
    let reports = links.iter().map(|row| LinkReport {
        number: row.number.get(),
        url: row.destination.as_str().to_owned(),
        kind: row.kind.name(),
        label: row.label.clone(),
        counters: by_link
            .remove(&row.number.get())
            .unwrap_or_default()
            .with_messages(),
    });
    Ok(CampaignReport {
        links: reports.collect(),
        counters: whole.with_messages(),
        by_class: by_class(&sums),
        by_method: by_method(&sums),
        settled_to: store.settled_to().await?,
        silent_edges: silent_edges(store).await?,
    })
}

/// Reports on a short link, likewise.
///
/// # Errors
/// The store is not available.
pub async fn short_link(
    store: &Store,
    ledger: Ledger,
    id: u32,
) -> Result<ShortLinkReport, StoreError> {
    let sums = store.short_link_sums(ledger, id).await?;
    let mut whole = RawAndHuman::default();
    for row in sums.iter().filter(|row| row.counted) {
        whole.add(row);
    }
    let clicks = |counters: &mut Counters| BTreeMap::from([("clicks", counters.clicks)]);
    Ok(ShortLinkReport {
        raw: clicks(&mut whole.raw),
        human: clicks(&mut whole.human),
        by_class: by_class(&sums),
        by_method: by_method(&sums),
        settled_to: store.settled_to().await?,
        silent_edges: silent_edges(store).await?,
    })
}

/// Edges whose hits of the last while are missing from what is reported.
async fn silent_edges(store: &Store) -> Result<Vec<String>, StoreError> {
    let edges = store.silent_edges().await?;
    Ok(edges.iter().map(ToString::to_string).collect())
}

/// Every hit by its class, those that count in no total among them.
fn by_class(sums: &[SumRow]) -> BTreeMap<&'static str, i64> {
    let mut all: BTreeMap<_, _> = Class::ALL.iter().map(|class| (class.name(), 0)).collect();
    for row in sums {
        *all.entry(row.class.name()).or_default() += row.hits;
    }
    all
}

/// Every hit by its method.
fn by_method(sums: &[SumRow]) -> BTreeMap<&'static str, i64> {
    let mut all: BTreeMap<_, _> = Method::ALL
        .iter()
        .map(|method| (method.name(), 0))
        .collect();
    for row in sums {
        *all.entry(row.method.name()).or_default() += row.hits;
    }
    all
}
