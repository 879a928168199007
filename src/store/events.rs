//! Stored hits, read back.

use ipnet::IpNet;

use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use crate::domain::judgement::{Class, Facts, RuleSetId, Score, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::neighbour::Neighbour;
use crate::domain::network::{Lists, NetworkFacts};
use crate::domain::record::{Hit, Target};
use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::ingest::sequence;
use super::sql::{Columns, Query, Row, Sql, low32};
use super::{Store, StoreError, narrow, signed, unsigned};

/// Columns of `hits h`, in the order in which [`stored_hit`] reads them.
macro_rules! columns {
    ($prefix:literal) => {
        concat!(
            "h.sequence, h.at, h.kind, h.method, h.protocol, h.answer, h.level, h.token, h.flags,
            h.campaign, h.link, h.minted_at, h.number, h.agent, h.headers, h.asn, h.lists,
            h.lists_version, ",
            $prefix,
            ", h.source, h.facts, h.ruleset, h.score, h.class, h.revision"
        )
    };
}

macro_rules! with_agent {
    ($prefix:literal) => {
        concat!(
            "SELECT ",
            columns!($prefix),
            ", e.incarnation, h.sequence <= p.settled_sequence, a.text
            FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge
            LEFT JOIN texts a ON a.id = h.agent WHERE "
        )
    };
}

macro_rules! after {
    ($prefix:literal) => {
        concat!(
            "SELECT ",
            columns!($prefix),
            ", (SELECT incarnation FROM edges WHERE id = $1)
            FROM hits h WHERE h.edge = $1 AND h.sequence > $2 ORDER BY h.sequence LIMIT $3"
        )
    };
}

const WITH_AGENT: Sql = Sql::of(with_agent!("h.prefix"), with_agent!("text(h.prefix)"));
const AFTER: Sql = Sql::of(after!("h.prefix"), after!("text(h.prefix)"));

/// A hit as the store keeps it: without the address.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHit {
    /// The edge it came in at.
    pub edge: EdgeId,
    /// Its sequence there.
    pub sequence: u64,
    /// The hit; its judgement is the latest.
    pub hit: Hit,
    /// /24 or /48 of the address.
    pub prefix: Option<IpNet>,
    /// Keyed hash of address and fingerprint, good for two days.
    pub source: Option<u64>,
    /// How many judgements came before the latest.
    pub revision: u32,
    /// Whether its window has closed.
    pub settled: bool,
    /// Its agent string.
    pub agent: Option<Vec<u8>>,
}

impl StoredHit {
    /// Where it is settled.
    #[must_use]
    pub fn shard(&self) -> Shard {
        Shard::of(self.hit.message.map(|(id, _)| id), self.sequence)
    }

    /// What it shows the other hits of its message.
    #[must_use]
    pub fn as_neighbour(&self) -> Neighbour {
        let hit = &self.hit;
        let (_, link) = hit.target.numbers();
        Neighbour {
            at: hit.at,
            kind: hit.kind,
            link,
            network: Neighbour::network(self.prefix),
            agent: Neighbour::agent(hit.agent),
            asn: hit.network.asn,
            facts: hit.facts,
        }
    }
}

/// Hits in the order of their sequences.
#[derive(Debug, Default)]
pub struct HitsAfter {
    /// Those that can be read.
    pub hits: Vec<StoredHit>,
    /// The last one's sequence, whether or not it can be read.
    pub last_sequence: Option<u64>,
}

/// Which hits are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this campaign.
    pub campaign: Option<CampaignId>,
    /// Of this kind.
    pub kind: Option<HitKind>,
    /// Of this class.
    pub class: Option<Class>,
    /// After this event.
    pub after: Option<(EdgeId, u64)>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// Hits in the order in which they were recorded.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<StoredHit>, StoreError> {
        let mut query = Query::begin(WITH_AGENT).push("1 = 1");
        // PostgreSQL may not know that the campaign is one: it would then go along all events.
        let campaign = filter.campaign.map(CampaignId::get);
        if let Some(campaign) = campaign {
            let (one, range) = (" AND h.campaign = $1", " AND h.campaign BETWEEN $1 AND $1");
            query = query.push_each(one, range).bind(campaign);
        }
        if let Some(kind) = filter.kind {
            query = query.push(" AND h.kind = ").push_bind(kind.code());
        }
        if let Some(class) = filter.class {
            query = query.push(" AND h.class = ").push_bind(class.code());
        }
        if let Some((edge, sequence)) = filter.after {
            let behind = " AND (h.edge, h.sequence) > (";
            let behind_in_range = match campaign {
                Some(_) => " AND (h.campaign, h.edge, h.sequence) > ($1, ",
                None => behind,
            };
            query = query
                .push_each(behind, behind_in_range)
                .push("(SELECT id FROM edges WHERE incarnation = ")
                .push_bind(edge.0)
                .push("), ")
                .push_bind(signed(sequence))
                .push(")");
        }
        let order = " ORDER BY h.edge, h.sequence LIMIT ";
        let order_in_range = match campaign {
            Some(_) => " ORDER BY h.campaign, h.edge, h.sequence LIMIT ",
            None => order,
        };
        query = query
            .push_each(order, order_in_range)
            .push_bind(filter.limit);
        let rows = self.readers.all(query).await?;
        rows.iter().map(stored_hit_with_agent).collect()
    }

    /// One hit.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn event(
        &self,
        edge: EdgeId,
        sequence: u64,
    ) -> Result<Option<StoredHit>, StoreError> {
        let query = Query::begin(WITH_AGENT)
            .push("e.incarnation = ")
            .push_bind(edge.0)
            .push(" AND h.sequence = ")
            .push_bind(signed(sequence));
        let row = self.readers.optional(query).await?;
        row.map(|row| stored_hit_with_agent(&row)).transpose()
    }

    /// Hits of one edge's row after `after`, in order. A row that cannot be read is said and passed
    /// over.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn hits_after(
        &self,
        edge: i64,
        after: u64,
        limit: usize,
    ) -> Result<HitsAfter, StoreError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let query = Query::new(AFTER).bind(edge).bind(signed(after));
        let rows = self.writer.all(query.bind(limit)).await?;
        let mut found = HitsAfter::default();
        for row in &rows {
            match stored_hit(&mut row.columns()) {
                Ok(stored) => found.hits.push(stored),
                Err(error) => tracing::error!(%error, "store: left a hit unsettled"),
            }
        }
        if let Some(row) = rows.last() {
            found.last_sequence = Some(sequence(row.at(0)?));
        }
        Ok(found)
    }
}

fn stored_hit_with_agent(row: &Row) -> Result<StoredHit, StoreError> {
    let mut columns = row.columns();
    let stored = stored_hit(&mut columns)?;
    Ok(StoredHit {
        settled: columns.next()?,
        agent: columns.next()?,
        ..stored
    })
}

pub(super) fn message(
    campaign: Option<CampaignId>,
    minted_at: Option<i64>,
    number: Option<i64>,
) -> Result<Option<(MessageId, RecipientKey)>, StoreError> {
    let (Some(campaign), Some(minted_at), Some(number)) = (campaign, minted_at, number) else {
        return Ok(None);
    };
    let id = MessageId {
        campaign,
        minted_at: narrow(minted_at, "hit")?,
        number: low32(number),
    };
    Ok(Some((id, RecipientKey::NONE)))
}

/// Reads [`columns`], and the edge behind them.
fn stored_hit(columns: &mut Columns<'_>) -> Result<StoredHit, StoreError> {
    const WHAT: &str = "hit";
    let bad = || StoreError::Unreadable(WHAT);
    let sequence = sequence(columns.next()?);
    let at = Micros::new(columns.next()?);
    let kind = HitKind::from_code(columns.number(WHAT)?).ok_or_else(bad)?;
    let method = Method::from_code(columns.number(WHAT)?).ok_or_else(bad)?;
    let protocol: u8 = columns.number(WHAT)?;
    let answer = Answer::from_code(columns.number(WHAT)?).ok_or_else(bad)?;
    let level = PrivacyLevel::from_code(columns.number(WHAT)?).ok_or_else(bad)?;
    let token = TokenState::from_code(columns.number(WHAT)?).ok_or_else(bad)?;
    let flags = columns.number(WHAT)?;
    let campaign = CampaignId::new(columns.bits32()?);
    let link = columns.bits32()?;
    let message = message(campaign, columns.next()?, columns.next()?)?;
    let mut text_id = || Ok::<_, StoreError>(columns.next::<Option<i64>>()?.map_or(0, unsigned));
    let (agent, headers) = (text_id()?, text_id()?);
    let network = NetworkFacts {
        asn: columns.bits32()?,
        lists: Lists::from_bits(columns.bits16()?),
        lists_version: columns.bits16()?,
    };
    let prefix: Option<String> = columns.next()?;
    let source: Option<i64> = columns.next()?;
    let hit = Hit {
        at,
        target: campaign.map_or(Target::Short(link), |id| Target::Campaign(id, link)),
        message,
        address: None,
        agent,
        headers,
        network,
        kind,
        method,
        http: HttpVersion::from_code(protocol & 15).ok_or_else(bad)?,
        scheme: Scheme::from_code(protocol >> 4).ok_or_else(bad)?,
        answer,
        level,
        token,
        facts: Facts::from_bits(unsigned(columns.next()?)),
        ruleset: RuleSetId(columns.number(WHAT)?),
        verdict: Verdict {
            score: Score::from_tenths(columns.number(WHAT)?),
            class: Class::from_code(columns.number(WHAT)?).ok_or_else(bad)?,
        },
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    };
    Ok(StoredHit {
        sequence,
        hit: hit.with_flags(flags),
        prefix: prefix.and_then(|text| text.parse().ok()),
        source: source.map(unsigned),
        revision: columns.number(WHAT)?,
        edge: EdgeId(columns.number("edge")?),
        settled: false,
        agent: None,
    })
}
