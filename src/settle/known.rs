//! States of messages that were touched lately: a message's hits come close together, and the store
//! need not be asked for each of them.

use std::collections::HashMap;

use crate::domain::message::MessageId;
use crate::domain::time::Micros;
use crate::store::{MessageState, Store, StoreError};

use super::States;
use super::sweepers::Sweepers;

/// What the states of one generation may weigh together; two are kept. One is some 70 bytes.
const GENERATION_MAX: usize = 120_000;

/// How long links of a campaign are taken to be as many as they were.
const LINKS_MICROS: i64 = 60_000_000;
/// Campaigns whose links are known.
const CAMPAIGNS_MAX: usize = 10_000;

/// What the store says of some messages. Nobody else may move it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Known {
    young: States,
    old: States,
    /// What the young ones weigh.
    weight: usize,
    /// Links of campaigns that a reader can follow, and since when they are known.
    links: HashMap<u32, u32>,
    links_at: Micros,
    /// Sources that sweep.
    pub(super) sweepers: Sweepers,
}

impl Known {
    /// States of those of `ids` that have one, taken out: [`Known::learn`] takes them back.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        ids: Vec<MessageId>,
    ) -> Result<States, StoreError> {
        let mut states = States::with_capacity_and_hasher(ids.len(), Default::default());
        let mut unknown = Vec::new();
        for id in ids {
            let young = self.young.remove(&id);
            self.weight -= young.as_ref().map_or(0, weight);
            match young.or_else(|| self.old.remove(&id)) {
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

    /// The store has these now.
    pub(super) fn wrote(&mut self, states: Vec<(MessageId, MessageState)>) {
        let stored = |(id, state)| {
            let stored = MessageState {
                stored: true,
                ..state
            };
            (id, stored)
        };
        self.learn(states.into_iter().map(stored));
    }

    /// Takes back what a round did not change of messages, and the sources that sweep.
    pub(super) fn put_back(&mut self, states: States, sweepers: Sweepers) {
        self.learn(states);
        self.sweepers = sweepers;
    }

    /// Takes back what is known of messages, and is the same in the store.
    pub(super) fn learn(&mut self, states: impl IntoIterator<Item = (MessageId, MessageState)>) {
        for (id, state) in states {
            self.weight += weight(&state);
            let before = self.young.insert(id, state);
            self.weight -= before.as_ref().map_or(0, weight);
            if self.weight > GENERATION_MAX {
                self.old = std::mem::take(&mut self.young);
                self.weight = 0;
            }
        }
    }
}

/// A scan leaves more in a state than a reader does.
fn weight(state: &MessageState) -> usize {
    2 + state.recent.len() + state.shadows.len() / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::CampaignId;
    use crate::domain::hit::{HitKind, Method};
    use crate::domain::judgement::{Class, Facts, Score, Verdict};
    use crate::domain::neighbour::Neighbour;
    use crate::store::{RECENT_MAX, Recent};

    fn recent(sequence: u64) -> Recent {
        Recent {
            edge: 1,
            sequence,
            seen: Neighbour {
                at: Micros::default(),
                kind: HitKind::Click,
                link: 1,
                network: 1,
                agent: 1,
                asn: 0,
                facts: Facts::NONE,
            },
            method: Method::Get,
            counted: true,
            verdict: Verdict {
                score: Score::from_tenths(0),
                class: Class::Human,
            },
        }
    }

    /// Messages that were scanned as much as can be remembered weigh what others do.
    #[test]
    fn what_is_known_is_bounded_by_what_it_weighs() {
        let mut known = Known::default();
        let id = |number| MessageId {
            campaign: CampaignId::new(1).unwrap(),
            minted_at: 1,
            number,
        };
        for number in 0..20_000 {
            let hits = if number % 2 == 0 { RECENT_MAX } else { 0 };
            let state = MessageState {
                recent: (0..hits as u64).map(recent).collect(),
                ..MessageState::default()
            };
            known.learn([(id(number % 9_000), state)]);
            let of = |states: &States| states.values().map(weight).sum::<usize>();
            assert_eq!(known.weight, of(&known.young));
            assert!(of(&known.young) <= GENERATION_MAX);
            assert!(of(&known.old) <= GENERATION_MAX + 2 + RECENT_MAX);
        }
        assert!(
            !known.old.is_empty(),
            "there were more than there is room for"
        );
    }
}
