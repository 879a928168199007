//! One state row per message: what uniques are counted with.
//!
//! `counts` is a list of entries of 13 bytes: kind u8, link u32, raw u32, human u32,
//! little-endian, sorted by kind and link. Raw and human are the counted hits of that kind and
//! link; human under the live rule set.

use crate::domain::campaign::CampaignId;
use crate::domain::hit::HitKind;
use crate::domain::judgement::{Ledger, RuleSetId};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::record::take;
use crate::domain::time::Micros;

use super::connections::Pool;
use super::recent::{self, Recent};
use super::shadows::{self, ShadowCount};
use super::sql::Row;
use super::{Store, StoreError, narrow, postgres, sqlite};

/// Messages asked for in one statement, of PostgreSQL.
const LOOKUP_ROWS_MAX: usize = 2_000;

/// Counted hits of one message on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkCounts {
    /// Kind of hit.
    pub kind: HitKind,
    /// The link; 0 for opens.
    pub link: u32,
    /// All counted hits.
    pub raw: u32,
    /// Those of a human class.
    pub human: u32,
}

/// What is known of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageState {
    /// Its recipient key; `None` if minted without one, or erased.
    pub recipient: Option<RecipientKey>,
    /// When the recipient's system accepted it.
    pub accepted_at: Option<Micros>,
    /// Its first hit.
    pub first_hit_at: Option<Micros>,
    /// Counts by kind and link.
    pub counts: Vec<LinkCounts>,
    /// Its hits of late, in the order of their times.
    pub recent: Vec<Recent>,
    /// What rule sets in shadow count otherwise.
    pub shadows: Vec<ShadowCount>,
    /// Whether the store has a row of it.
    pub stored: bool,
    /// The rule set by which each of `recent` was judged among all of them, and how many links
    /// the campaign had then; `None` as soon as anything else has changed. Not kept in the store.
    pub judged_by: Option<(RuleSetId, u32)>,
}

impl MessageState {
    /// The entry of a kind and link, made if missing.
    pub fn entry(&mut self, kind: HitKind, link: u32) -> &mut LinkCounts {
        let place = self
            .counts
            .binary_search_by_key(&(kind, link), |entry| (entry.kind, entry.link))
            .unwrap_or_else(|place| {
                self.counts.insert(
                    place,
                    LinkCounts {
                        kind,
                        link,
                        raw: 0,
                        human: 0,
                    },
                );
                place
            });
        // The search or the insertion has just found this place.
        #[expect(clippy::indexing_slicing, reason = "place comes from the search above")]
        &mut self.counts[place]
    }

    /// The entry of a ledger, kind and link, made if missing.
    pub fn shadow(&mut self, ledger: Ledger, kind: HitKind, link: u32) -> &mut ShadowCount {
        let of = |one: &ShadowCount| (one.ledger, one.kind, one.link) == (ledger, kind, link);
        let place = self.shadows.iter().position(of).unwrap_or_else(|| {
            self.shadows.push(ShadowCount {
                ledger,
                kind,
                link,
                human: 0,
            });
            self.shadows.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "place was found or made above")]
        &mut self.shadows[place]
    }

    pub(super) fn write_recent(&self) -> Option<Vec<u8>> {
        recent::write(&self.recent)
    }

    pub(super) fn write_counts(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.counts.len() * 13);
        for entry in &self.counts {
            out.push(entry.kind.code());
            for number in [entry.link, entry.raw, entry.human] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out
    }
}

fn read_counts(mut from: &[u8]) -> Option<Vec<LinkCounts>> {
    let mut counts = Vec::with_capacity(from.len() / 13);
    while !from.is_empty() {
        let [kind] = take::<1>(&mut from)?;
        counts.push(LinkCounts {
            kind: HitKind::from_code(kind)?,
            link: u32::from_le_bytes(take(&mut from)?),
            raw: u32::from_le_bytes(take(&mut from)?),
            human: u32::from_le_bytes(take(&mut from)?),
        });
    }
    Some(counts)
}

impl Store {
    /// State of a message, as others see it.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn message_state(&self, id: MessageId) -> Result<Option<MessageState>, StoreError> {
        let states = states(&self.readers, &[id]).await?;
        Ok(states.into_iter().next().map(|(_, state)| state))
    }

    /// States of those of `ids` that have one, as who settles them left them.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn message_states(
        &self,
        ids: &[MessageId],
    ) -> Result<Vec<(MessageId, MessageState)>, StoreError> {
        states(&self.writer, ids).await
    }
}

async fn states(
    pool: &Pool,
    ids: &[MessageId],
) -> Result<Vec<(MessageId, MessageState)>, StoreError> {
    let mut states = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LOOKUP_ROWS_MAX) {
        let rows = match pool {
            Pool::Sqlite(pool) => sqlite::message_states(pool, ids).await?,
            Pool::Postgres(pool) => postgres::message_states(pool, ids).await?,
        };
        for row in &rows {
            states.push(state(row)?);
        }
    }
    Ok(states)
}

fn state(row: &Row) -> Result<(MessageId, MessageState), StoreError> {
    let campaign = CampaignId::new(narrow(row.at(0)?, "campaign")?);
    let id = MessageId {
        campaign: campaign.ok_or(StoreError::Unreadable("message"))?,
        minted_at: narrow(row.at(1)?, "message")?,
        number: narrow(row.at(2)?, "message")?,
    };
    let recipient: Option<Vec<u8>> = row.at(3)?;
    let recipient = recipient
        .and_then(|bytes| bytes.first_chunk::<10>().copied())
        .map(RecipientKey::from_bytes);
    let counts: Vec<u8> = row.at(6)?;
    let recent: Option<Vec<u8>> = row.at(7)?;
    let shadows: Option<Vec<u8>> = row.at(8)?;
    let state = MessageState {
        recipient,
        accepted_at: row.at::<Option<i64>>(4)?.map(Micros::new),
        first_hit_at: row.at::<Option<i64>>(5)?.map(Micros::new),
        counts: read_counts(&counts).unwrap_or_else(|| {
            tracing::error!(message = %id, "store: unreadable counts, begun anew");
            Vec::new()
        }),
        recent: recent::read(&recent.unwrap_or_default()).unwrap_or_else(|| {
            tracing::error!(message = %id, "store: unreadable neighbours, begun anew");
            Vec::new()
        }),
        shadows: shadows::read(&shadows.unwrap_or_default()).unwrap_or_else(|| {
            tracing::error!(message = %id, "store: unreadable counts of shadows, begun anew");
            Vec::new()
        }),
        stored: true,
        judged_by: None,
    };
    Ok((id, state))
}
