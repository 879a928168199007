//! Stored hits, read back.

use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use crate::domain::judgement::{Class, Facts, RuleSetId, Score, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::network::{Lists, NetworkFacts};
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::ingest::sequence;
use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, narrow, signed, unsigned};

const WITH_AGENT: Sql = Sql::of(
    "SELECT h.edge, h.sequence, h.at, h.kind, h.method, h.protocol, h.answer, h.level, h.token,
        h.flags, h.campaign, h.link, h.minted_at, h.number, h.agent, h.headers, h.asn, h.lists,
        h.lists_version, h.prefix, h.source, h.facts, h.ruleset, h.score, h.class, h.revision,
        e.incarnation, h.sequence <= p.settled_sequence AS settled, a.text AS agent_text
    FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge
    LEFT JOIN texts a ON a.id = h.agent WHERE ",
    "SELECT h.edge, h.sequence, h.at, h.kind, h.method, h.protocol, h.answer, h.level, h.token,
        h.flags, h.campaign, h.link, h.minted_at, h.number, h.agent, h.headers, h.asn, h.lists,
        h.lists_version, text(h.prefix) AS prefix, h.source, h.facts, h.ruleset, h.score, h.class,
        h.revision, e.incarnation, h.sequence <= p.settled_sequence AS settled, a.text AS agent_text
    FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge
    LEFT JOIN texts a ON a.id = h.agent WHERE ",
);
const TO_SETTLE: Sql = Sql::of(
    "SELECT h.edge, h.sequence, h.at, h.kind, h.method, h.protocol, h.answer, h.level, h.token,
        h.flags, h.campaign, h.link, h.minted_at, h.number, h.agent, h.headers, h.asn, h.lists,
        h.lists_version, h.prefix, h.source, h.facts, h.ruleset, h.score, h.class, h.revision,
        e.incarnation, h.sequence <= p.settled_sequence AS settled, NULL AS agent_text
    FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge
    WHERE h.edge = $1 AND h.sequence > $2 ORDER BY h.sequence LIMIT $3",
    "SELECT h.edge, h.sequence, h.at, h.kind, h.method, h.protocol, h.answer, h.level, h.token,
        h.flags, h.campaign, h.link, h.minted_at, h.number, h.agent, h.headers, h.asn, h.lists,
        h.lists_version, text(h.prefix) AS prefix, h.source, h.facts, h.ruleset, h.score, h.class,
        h.revision, e.incarnation, h.sequence <= p.settled_sequence AS settled,
        NULL::bytea AS agent_text
    FROM hits h JOIN edges e ON e.id = h.edge JOIN positions p ON p.edge = h.edge
    WHERE h.edge = $1 AND h.sequence > $2 ORDER BY h.sequence LIMIT $3",
);

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
        let mut query = Query::begin(WITH_AGENT).push("1 = 1");
        if let Some(campaign) = filter.campaign {
            query = query.push(" AND h.campaign = ").push_bind(campaign.get());
        }
        if let Some(kind) = filter.kind {
            query = query.push(" AND h.kind = ").push_bind(kind.code());
        }
        if let Some(class) = filter.class {
            query = query.push(" AND h.class = ").push_bind(class.code());
        }
        if let Some((edge, sequence)) = filter.after {
            query = query
                .push(" AND (h.edge, h.sequence) > ((SELECT id FROM edges WHERE incarnation = ")
                .push_bind(edge.0)
                .push("), ")
                .push_bind(signed(sequence))
                .push(")");
        }
        query = query
            .push(" ORDER BY h.edge, h.sequence LIMIT ")
            .push_bind(filter.limit);
        let rows = self.readers.all(query).await?;
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
        let query = Query::begin(WITH_AGENT)
            .push("e.incarnation = ")
            .push_bind(edge.0)
            .push(" AND h.sequence = ")
            .push_bind(signed(sequence));
        let row = self.readers.optional(query).await?;
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
            let query = Query::new(TO_SETTLE)
                .bind(edge)
                .bind(signed(after))
                .bind(SETTLE_ROWS);
            let rows = self.writer.all(query).await?;
            for row in &rows {
                after = sequence(row.get("sequence")?);
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

fn stored_hit(row: &Row) -> Result<StoredHit, StoreError> {
    let bad = || StoreError::Unreadable("hit");
    let code = |column: &str| -> Result<u8, StoreError> { narrow(row.get(column)?, "hit") };
    let campaign = CampaignId::new(narrow(row.get("campaign")?, "hit")?);
    let link = narrow(row.get("link")?, "hit")?;
    let minted_at: Option<i64> = row.get("minted_at")?;
    let number: Option<i64> = row.get("number")?;
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
        at: Micros::new(row.get("at")?),
        target: campaign.map_or(Target::Short(link), |id| Target::Campaign(id, link)),
        message,
        address: None,
        agent: row.get::<Option<i64>>("agent")?.map_or(0, unsigned),
        headers: row.get::<Option<i64>>("headers")?.map_or(0, unsigned),
        facts: Facts::from_bits(unsigned(row.get("facts")?)),
        network: NetworkFacts {
            asn: narrow(row.get("asn")?, "hit")?,
            lists: Lists::from_bits(narrow(row.get("lists")?, "hit")?),
            lists_version: narrow(row.get("lists_version")?, "hit")?,
        },
        kind: HitKind::from_code(code("kind")?).ok_or_else(bad)?,
        method: Method::from_code(code("method")?).ok_or_else(bad)?,
        http: HttpVersion::from_code(protocol & 15).ok_or_else(bad)?,
        scheme: Scheme::from_code(protocol >> 4).ok_or_else(bad)?,
        answer: Answer::from_code(code("answer")?).ok_or_else(bad)?,
        level: PrivacyLevel::from_code(code("level")?).ok_or_else(bad)?,
        token: TokenState::from_code(code("token")?).ok_or_else(bad)?,
        verdict: Verdict {
            score: Score::from_tenths(narrow(row.get("score")?, "hit")?),
            class: Class::from_code(code("class")?).ok_or_else(bad)?,
        },
        ruleset: RuleSetId(narrow(row.get("ruleset")?, "hit")?),
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    };
    Ok(StoredHit {
        edge: EdgeId(narrow(row.get("incarnation")?, "edge")?),
        sequence: sequence(row.get("sequence")?),
        hit: hit.with_flags(code("flags")?),
        prefix: row.get("prefix")?,
        source: row.get::<Option<i64>>("source")?.map(unsigned),
        revision: narrow(row.get("revision")?, "hit")?,
        settled: row.get("settled")?,
        agent: row.get("agent_text")?,
    })
}
