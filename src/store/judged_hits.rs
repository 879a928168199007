//! Stored hits as far as another rule set needs them, read one after the other.

use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, Method, TokenState};
use crate::domain::judgement::{Class, Facts};
use crate::domain::message::MessageId;
use crate::domain::record::Asked;
use crate::domain::shard::Shard;
use crate::domain::time::Micros;

use super::events::message;
use super::ingest::sequence;
use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, signed, unsigned};

/// Where a hit stands: the row of its edge, and its sequence there.
pub type HitPlace = (i64, u64);

/// A stored hit, as far as another rule set needs it.
#[derive(Clone, Copy, Debug)]
pub struct JudgedHit {
    /// Where it stands.
    pub place: HitPlace,
    /// When it came.
    pub at: Micros,
    /// Campaign or 0, and link or short link.
    pub target: (u32, u32),
    /// Its message.
    pub message: Option<MessageId>,
    /// Its kind.
    pub kind: HitKind,
    /// Its method.
    pub method: Method,
    /// Whether it counts in totals.
    pub counted: bool,
    /// What its judgement rests on; `None` where the privacy level keeps no facts.
    pub facts: Option<Facts>,
    /// The class in force.
    pub class: Class,
}

impl JudgedHit {
    /// Where it is settled.
    #[must_use]
    pub fn shard(&self) -> Shard {
        Shard::of(self.message, self.place.1)
    }
}

/// One number for seven codes: each column that is read costs more than it weighs.
macro_rules! codes {
    ($type:literal) => {
        concat!(
            "SELECT h.edge, h.sequence, h.at, h.campaign, h.link, h.minted_at, h.number, h.facts,
                CAST(h.kind AS ",
            $type,
            ") | (CAST(h.method AS ",
            $type,
            ") << 8)
                | (CAST(h.answer AS ",
            $type,
            ") << 16) | (CAST(h.level AS ",
            $type,
            ") << 24)
                | (CAST(h.token AS ",
            $type,
            ") << 32) | (CAST(h.class AS ",
            $type,
            ") << 40)
                | (CAST(h.flags AS ",
            $type,
            ") << 48)
            FROM hits h WHERE "
        )
    };
}

/// Some of them, in order.
#[derive(Debug, Default)]
pub struct JudgedHits {
    /// Those that can be read.
    pub hits: Vec<JudgedHit>,
    /// Where the last one stands, whether or not it can be read.
    pub last: Option<HitPlace>,
    /// There may be more behind it.
    pub more: bool,
}

impl Store {
    /// Hits behind this place, in order; of one campaign or of all. A row that cannot be read is
    /// said and passed over.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn judged_hits(
        &self,
        after: HitPlace,
        campaign: Option<CampaignId>,
        limit: u32,
    ) -> Result<JudgedHits, StoreError> {
        let mut query = Query::begin(Sql::of(codes!("INTEGER"), codes!("BIGINT")));
        let campaign = campaign.map(CampaignId::get);
        let (behind, order) = match campaign {
            // PostgreSQL may not know that the campaign is one: it would go along all hits.
            Some(campaign) => {
                let (one, range) = ("h.campaign = $1", "h.campaign BETWEEN $1 AND $1");
                query = query.push_each(one, range).bind(campaign);
                let in_range = " AND (h.campaign, h.edge, h.sequence) > ($1, ";
                query = query.push_each(" AND (h.edge, h.sequence) > (", in_range);
                ("", " ORDER BY h.campaign, h.edge, h.sequence LIMIT ")
            }
            None => (
                "(h.edge, h.sequence) > (",
                " ORDER BY h.edge, h.sequence LIMIT ",
            ),
        };
        query = query
            .push(behind)
            .push_bind(after.0)
            .push(", ")
            .push_bind(signed(after.1))
            .push(")")
            .push(order)
            .push_bind(limit);
        let rows = self.writer.all(query).await?;
        let mut found = JudgedHits {
            more: u32::try_from(rows.len()) == Ok(limit),
            ..JudgedHits::default()
        };
        for row in &rows {
            found.last = Some((row.at(0)?, sequence(row.at(1)?)));
            match judged_hit(row) {
                Ok(hit) => found.hits.push(hit),
                Err(error) => tracing::error!(%error, "store: left a hit as it was judged"),
            }
        }
        Ok(found)
    }
}

fn judged_hit(row: &Row) -> Result<JudgedHit, StoreError> {
    let mut columns = row.columns();
    let bad = || StoreError::Unreadable("hit");
    let place = (columns.next()?, sequence(columns.next()?));
    let at = Micros::new(columns.next()?);
    let (campaign, link) = (columns.bits32()?, columns.bits32()?);
    let (minted_at, number) = (columns.next()?, columns.next()?);
    let facts = Facts::from_bits(unsigned(columns.next()?));
    let [kind, method, answer, level, token, class, flags, _] =
        columns.next::<i64>()?.to_le_bytes();
    let kind = HitKind::from_code(kind).ok_or_else(bad)?;
    let method = Method::from_code(method).ok_or_else(bad)?;
    let asked = Asked {
        kind,
        method,
        answer: Answer::from_code(answer).ok_or_else(bad)?,
        token: TokenState::from_code(token).ok_or_else(bad)?,
        honeypot: false,
    };
    let level = PrivacyLevel::from_code(level).ok_or_else(bad)?;
    let message = message(CampaignId::new(campaign), minted_at, number)?;
    Ok(JudgedHit {
        place,
        at,
        target: (campaign, link),
        message: message.map(|(id, _)| id),
        kind,
        method,
        counted: asked.with_flags(flags).counts(),
        facts: (level == PrivacyLevel::Individual).then_some(facts),
        class: Class::from_code(class).ok_or_else(bad)?,
    })
}
