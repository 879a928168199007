//! States of messages that were touched lately: a message's hits come close together, and the store
//! need not be asked for each of them.

use std::collections::HashMap;

use crate::domain::message::MessageId;
use crate::domain::time::Micros;
use crate::store::{MessageState, Store, StoreError};

use super::States;

/// Messages of one generation; two are kept. A state takes some 150 bytes.
const GENERATION_MAX: usize = 25_000;

/// How long links of a campaign are taken to be as many as they were.
const LINKS_MICROS: i64 = 60_000_000;
/// Campaigns whose links are known.
const CAMPAIGNS_MAX: usize = 10_000;

/// What the store says of some messages. Nobody else may move it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Known {
    young: States,
    old: States,
    /// Links of campaigns that a reader can follow, and since when they are known.
    links: HashMap<u32, u32>,
    links_at: Micros,
}

impl Known {
    /// States of those of `ids` that have one, taken out: [`Known::learn`] takes them back.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        ids: Vec<MessageId>,
    ) -> Result<States, StoreError> {
        let mut states = HashMap::with_capacity(ids.len());
        let mut unknown = Vec::new();
        for id in ids {
            match self.young.remove(&id).or_else(|| self.old.remove(&id)) {
                Some(state) => {
                    states.insert(id, state);
                }
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            states.extend(store.message_states(&unknown).await?);
        }
        Ok(states)
    }

    /// How many links the campaigns of `ids` have that a reader can follow.
    pub(super) async fn links(
        &mut self,
        store: &Store,
        ids: &[MessageId],
        now: Micros,
    ) -> Result<HashMap<u32, u32>, StoreError> {
        let old = self.links_at.plus(LINKS_MICROS) < now || now < self.links_at;
        if old || self.links.len() > CAMPAIGNS_MAX {
            self.links.clear();
            self.links_at = now;
        }
        let mut asked: Vec<u32> = ids.iter().map(|id| id.campaign.get()).collect();
        asked.dedup();
        let unknown = asked.iter().filter(|it| !self.links.contains_key(it));
        let unknown: Vec<u32> = unknown.copied().collect();
        if !unknown.is_empty() {
            // A campaign without any is one whose links are not known yet.
            self.links.extend(unknown.iter().map(|it| (*it, 0)));
            self.links.extend(store.link_totals(&unknown).await?);
        }
        let of = |it: &u32| Some((*it, *self.links.get(it)?));
        Ok(asked.iter().filter_map(of).collect())
    }

    /// What the store has now.
    pub(super) fn learn(&mut self, states: impl IntoIterator<Item = (MessageId, MessageState)>) {
        self.young.extend(states);
        if self.young.len() > GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
    }
}
