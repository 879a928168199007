//! Stored hits, read back.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use crate::domain::judgement::{Class, Facts, RuleSetId, Score, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::network::{Lists, NetworkFacts};
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::ingest::sequence;
use super::{Store, StoreError, narrow, signed, unsigned};

const COLUMNS: &str = "SELECT h.edge, h.sequence, h.at, h.kind, h.method, h.protocol, h.answer,
    h.level, h.token, h.flags, h.campaign, h.link, h.minted_at, h.number, h.agent, h.headers,
    h.asn, h.lists, h.lists_version, h.prefix, h.source, h.facts, h.ruleset, h.score, h.class,
    h.revision, e.incarnation, h.sequence <= p.settled_sequence AS settled, ";
const WITH_AGENT: &str = "a.text AS agent_text
    FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge
    LEFT JOIN texts a ON a.id = h.agent WHERE ";
const WITHOUT_AGENT: &str = "NULL AS agent_text
    FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge WHERE ";

/// Rows that settling looks at in one go; it stops at the first that is not due.
const SETTLE_ROWS: u32 = 500;

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
    pub prefix: Option<String>,
    /// Keyed hash of address and fingerprint, good for two days.
    pub source: Option<u64>,
    /// How many judgements came before the latest.
    pub revision: u32,
    /// Whether its window has closed.
    pub settled: bool,
    /// Its agent string.
    pub agent: Option<Vec<u8>>,
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
        let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
        query.push(WITH_AGENT).push("1 = 1");
        if let Some(campaign) = filter.campaign {
            query
                .push(" AND h.campaign = ")
                .push_bind(i64::from(campaign.get()));
        }
        if let Some(kind) = filter.kind {
            query
                .push(" AND h.kind = ")
                .push_bind(i64::from(kind.code()));
        }
        if let Some(class) = filter.class {
            query
                .push(" AND h.class = ")
                .push_bind(i64::from(class.code()));
        }
        if let Some((edge, sequence)) = filter.after {
            query
                .push(" AND (h.edge, h.sequence) > ((SELECT id FROM edges WHERE incarnation = ")
                .push_bind(i64::from(edge.0))
                .push("), ")
                .push_bind(signed(sequence))
                .push(")");
        }
        query
            .push(" ORDER BY h.edge, h.sequence LIMIT ")
            .push_bind(i64::from(filter.limit));
        let rows = query.build().fetch_all(&self.readers).await?;
        rows.iter().map(stored_hit).collect()
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
        let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
        query
            .push(WITH_AGENT)
            .push("e.incarnation = ")
            .push_bind(i64::from(edge.0))
            .push(" AND h.sequence = ")
            .push_bind(signed(sequence));
        let row = query.build().fetch_optional(&self.readers).await?;
        row.map(|row| stored_hit(&row)).transpose()
    }

    /// Hits of one edge after `after` that are due, in order; stops before the first that is not,
    /// so that what it returns is without gaps. A row that cannot be read is said and passed over.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn hits_to_settle(
        &self,
        edge: i64,
        after: u64,
        is_due: impl Fn(Micros) -> bool,
        limit: u32,
    ) -> Result<Vec<StoredHit>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut due: Vec<StoredHit> = Vec::new();
        let mut after = after;
        while due.len() < limit {
            let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
            query
                .push(WITHOUT_AGENT)
                .push("h.edge = ")
                .push_bind(edge)
                .push(" AND h.sequence > ")
                .push_bind(signed(after))
                .push(" ORDER BY h.sequence LIMIT ")
                .push_bind(i64::from(SETTLE_ROWS));
            let rows = query.build().fetch_all(&self.writer).await?;
            for row in &rows {
                after = sequence(row.try_get("sequence")?);
                match stored_hit(row) {
                    Ok(stored) if !is_due(stored.hit.at) => return Ok(due),
                    Ok(stored) => due.push(stored),
                    Err(error) => tracing::error!(%error, "store: left a hit unsettled"),
                }
            }
            if rows.len() < SETTLE_ROWS as usize {
                break;
            }
        }
        due.truncate(limit);
        Ok(due)
    }
}

fn stored_hit(row: &SqliteRow) -> Result<StoredHit, StoreError> {
    let bad = || StoreError::Unreadable("hit");
    let code = |column: &str| -> Result<u8, StoreError> { narrow(row.try_get(column)?, "hit") };
    let campaign = CampaignId::new(narrow(row.try_get("campaign")?, "hit")?);
    let link = narrow(row.try_get("link")?, "hit")?;
    let minted_at: Option<i64> = row.try_get("minted_at")?;
    let number: Option<i64> = row.try_get("number")?;
    let message = match (campaign, minted_at, number) {
        (Some(campaign), Some(minted_at), Some(number)) => Some((
            MessageId {
                campaign,
                minted_at: narrow(minted_at, "hit")?,
                number: narrow(number, "hit")?,
            },
            RecipientKey::NONE,
        )),
        _ => None,
    };
    let protocol = code("protocol")?;
    let hit = Hit {
        at: Micros::new(row.try_get("at")?),
        target: campaign.map_or(Target::Short(link), |id| Target::Campaign(id, link)),
        message,
        address: None,
        agent: row.try_get::<Option<i64>, _>("agent")?.map_or(0, unsigned),
        headers: row
            .try_get::<Option<i64>, _>("headers")?
            .map_or(0, unsigned),
        facts: Facts::from_bits(unsigned(row.try_get("facts")?)),
        network: NetworkFacts {
            asn: narrow(row.try_get("asn")?, "hit")?,
            lists: Lists::from_bits(narrow(row.try_get("lists")?, "hit")?),
            lists_version: narrow(row.try_get("lists_version")?, "hit")?,
        },
        kind: HitKind::from_code(code("kind")?).ok_or_else(bad)?,
        method: Method::from_code(code("method")?).ok_or_else(bad)?,
        http: HttpVersion::from_code(protocol & 15).ok_or_else(bad)?,
        scheme: Scheme::from_code(protocol >> 4).ok_or_else(bad)?,
        answer: Answer::from_code(code("answer")?).ok_or_else(bad)?,
        level: PrivacyLevel::from_code(code("level")?).ok_or_else(bad)?,
        token: TokenState::from_code(code("token")?).ok_or_else(bad)?,
        verdict: Verdict {
            score: Score::from_tenths(narrow(row.try_get("score")?, "hit")?),
            class: Class::from_code(code("class")?).ok_or_else(bad)?,
        },
        ruleset: RuleSetId(narrow(row.try_get("ruleset")?, "hit")?),
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    };
    Ok(StoredHit {
        edge: EdgeId(narrow(row.try_get("incarnation")?, "edge")?),
        sequence: sequence(row.try_get("sequence")?),
        hit: hit.with_flags(code("flags")?),
        prefix: row.try_get("prefix")?,
        source: row.try_get::<Option<i64>, _>("source")?.map(unsigned),
        revision: narrow(row.try_get("revision")?, "hit")?,
        settled: row.try_get("settled")?,
        agent: row.try_get("agent_text")?,
    })
}
