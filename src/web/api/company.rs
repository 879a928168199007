//! The hits of a message around one that is explained: what its judgement rests on.

use crate::domain::message::MessageId;
use crate::domain::neighbour::Neighbour;
use crate::domain::time::Micros;
use crate::judge::signals::{Signal, by_name};
use crate::judge::{self, Around, Explained, Windows};
use crate::store::{Recent, Store, StoreError, StoredHit};

use super::events::id as name_of;

/// The hits of a message that are remembered, with their events.
pub(super) struct Company {
    pub(super) hits: Vec<(String, Recent)>,
    seen: Vec<Neighbour>,
    /// The place of the hit in question in `seen`.
    own: usize,
    pub(super) accepted_at: Option<Micros>,
    minted_at: Option<Micros>,
    links: u32,
}

/// A signal of the judgement.
pub(super) struct Rests {
    pub(super) signal: &'static Signal,
    pub(super) weight: f64,
    /// Places of the hits that it rests on; `None` if it rests on none, or not on any that is
    /// remembered.
    pub(super) on: Option<Vec<usize>>,
}

impl Company {
    pub(super) async fn of(store: &Store, stored: &StoredHit) -> Result<Self, StoreError> {
        let mut company = Self {
            hits: Vec::new(),
            seen: Vec::new(),
            own: 0,
            accepted_at: None,
            minted_at: None,
            links: 0,
        };
        if let Some((message, _)) = stored.hit.message {
            company.fill(store, message).await?;
        }
        let name = name_of(stored);
        let own = company.hits.iter().position(|(id, _)| *id == name);
        company.seen = company.hits.iter().map(|(_, recent)| recent.seen).collect();
        company.own = own.unwrap_or(company.seen.len());
        if own.is_none() {
            company.seen.push(stored.as_neighbour());
        }
        Ok(company)
    }

    async fn fill(&mut self, store: &Store, message: MessageId) -> Result<(), StoreError> {
        let minted_at = i64::from(message.minted_at).saturating_mul(1_000_000);
        self.minted_at = Some(Micros::new(minted_at));
        let links = store.link_totals(&[message.campaign.get()]).await?;
        self.links = links.first().map_or(0, |(_, links)| *links);
        let Some(state) = store.message_state(message).await? else {
            return Ok(());
        };
        self.accepted_at = state.accepted_at;
        let edges = store.edge_names().await?;
        let named = state.recent.into_iter().filter_map(|recent| {
            let edge = edges.get(&recent.edge)?;
            Some((format!("{edge}-{}", recent.sequence), recent))
        });
        self.hits = named.collect();
        Ok(())
    }

    pub(super) fn rests(&self, windows: &Windows, explained: &Explained) -> Vec<Rests> {
        let Some(hit) = self.seen.get(self.own) else {
            return Vec::new();
        };
        let around = Around {
            hit,
            company: &self.seen,
            accepted_at: self.accepted_at,
            minted_at: self.minted_at,
            links: self.links,
            swept_before: false,
            windows,
        };
        let signals = explained.signals.iter().filter_map(|(name, weight)| {
            let signal = by_name(name)?;
            Some(Rests {
                signal,
                weight: *weight,
                on: judge::rests_on(&around, self.own, signal).filter(|on| !on.is_empty()),
            })
        });
        signals.collect()
    }

    /// The others.
    pub(super) fn others(&self) -> impl Iterator<Item = (usize, &str, &Recent)> {
        let places = self.hits.iter().enumerate();
        let others = places.filter(|(place, _)| *place != self.own);
        others.map(|(place, (id, recent))| (place, id.as_str(), recent))
    }
}
