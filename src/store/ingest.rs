//! What settling writes: rows, sums, message states and the position, in one transaction that is
//! guarded by the position it expects.

use std::collections::BTreeMap;

use crate::domain::act::Act;
use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Facts, Ledger, RuleSetId, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::record::Hit;
use crate::domain::shard::Shard;
use crate::domain::sweep::Sweep;
use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::connections::Pool;
use super::edges::Position;
use super::events::StoredHit;
use super::evidence::EvidenceKey;
use super::inbox::Arrival;
use super::messages::MessageState;
use super::rejudgements::Rejudged;
use super::{Store, StoreError, unsigned};
use super::{postgres, sqlite};

/// Key of a cell in the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SumKey {
    /// Whose judgement gave the class.
    pub ledger: Ledger,
    /// Campaign or short link.
    pub target: (u32, u32),
    /// Start of the quarter of an hour.
    pub cell: Micros,
    /// Kind of hit.
    pub kind: HitKind,
    /// Class of the hit.
    pub class: Class,
    /// Method of the hit.
    pub method: Method,
    /// Whether it counts in totals.
    pub counted: bool,
}

/// What a cell gains or loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredSums {
    /// Hits.
    pub hits: i64,
    /// Those of them without a message.
    pub anonymous: i64,
}

/// Key of a unique count; link `None` is the campaign as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueKey {
    /// Whose judgements say who is human.
    pub ledger: Ledger,
    /// The campaign.
    pub campaign: u32,
    /// Kind of hit.
    pub kind: HitKind,
    /// The link.
    pub link: Option<u32>,
}

/// A judgement that replaces the one on a stored hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Row of the edge that the hit came in at.
    pub edge: i64,
    /// The hit.
    pub sequence: u64,
    /// When it came, by which its row is found sooner.
    pub hit_at: Micros,
    /// Facts it rests on.
    pub facts: Facts,
    /// What it says.
    pub verdict: Verdict,
    /// The rule set.
    pub ruleset: RuleSetId,
    /// When it was made.
    pub at: Micros,
}

/// How far the journal of an edge is in the store, before and after.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Row of the edge ([`Store::edge`]).
    pub edge: i64,
    /// Position that the store is expected to be at.
    pub from: Position,
    /// Position afterwards.
    pub to: Position,
    /// Every hit before this is in the store then.
    pub shipped_to: Micros,
    /// Whether windows of other edges wait for this one.
    pub waited_for: bool,
}

/// Shards by what guards them: a number that moves with every transaction that settles them.
pub type Turns = BTreeMap<Shard, u64>;

/// What is settled by leases, and what shows that they are held.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Who holds them.
    pub holder: EdgeId,
    /// Shards that are touched, and where each is expected to be.
    pub turns: Turns,
    /// Rows that leave the inbox.
    pub taken: Vec<i64>,
    /// Last sequences of edges up to which the hits of these shards are settled.
    pub lanes: Vec<(i64, u64)>,
    /// Time up to which they are.
    pub settled_to: Option<Micros>,
}

/// Everything that one transaction writes.
#[derive(Debug, Default)]
pub struct Ingest {
    /// How far the journal of this process is read, if it has one.
    pub journal: Option<Moved>,
    /// What the leases of this process are used for, where several settle.
    pub lease: Option<Lease>,
    /// What others are to settle.
    pub shipped: Vec<Arrival>,
    /// Texts behind ids.
    pub texts: Vec<(u64, Vec<u8>)>,
    /// New hits, each behind the row of its edge.
    pub hits: Vec<(i64, Box<StoredHit>)>,
    /// Presses and unsubscribes of the journal, with their sequences.
    pub acts: Vec<(u64, Act)>,
    /// Judgements that changed.
    pub revisions: Vec<Revision>,
    /// States of messages.
    pub messages: Vec<(MessageId, MessageState)>,
    /// Messages that were swept, as far as that says something new of a source.
    pub sweeps: Vec<Sweep>,
    /// Changes of sums.
    pub sums: Vec<(SumKey, StoredSums)>,
    /// Changes of unique counts: raw, human.
    pub uniques: Vec<(UniqueKey, (i64, i64))>,
    /// Changes of what speaks for or against judgements.
    pub evidence: Vec<(EvidenceKey, i64)>,
    /// How far history is judged again.
    pub rejudged: Option<Rejudged>,
}

impl Store {
    /// Writes everything or nothing.
    ///
    /// # Errors
    /// `Position` if the store is not where it is expected to be; or not available.
    pub async fn ingest(&self, all: &Ingest) -> Result<(), StoreError> {
        match self.writer()? {
            Pool::Sqlite(writer) => sqlite::ingest(writer, all).await,
            Pool::Postgres(writer) => postgres::ingest(writer, all).await,
        }
    }
}

/// Moves the position of the only edge: row, sequence, settled sequence and time, and where it has
/// to be.
pub(super) const MOVE_POSITION: &str =
    "UPDATE positions SET sequence = $2, settled_sequence = $3, settled_to = $4
    WHERE edge = $1 AND sequence = $5 AND settled_sequence = $6";

impl Moved {
    /// The position was moved, and by this transaction.
    pub(super) fn moved(&self, rows: u64) -> Result<(), StoreError> {
        if rows == 1 {
            return Ok(());
        }
        Err(StoreError::Position {
            expected: self.from.sequence,
        })
    }
}

/// Where a shard of a rejudgement is now.
pub(super) const REJUDGED: &str = "UPDATE rejudged SET edge = $3, sequence = $4, hits = hits + $5,
        changed = changed + $6, done = $7
    WHERE rejudgement = $1 AND shard = $2";
/// Who ends a rejudgement waits here for others who do, and for those who change something for it.
pub(super) const HOLD_REJUDGEMENT: &str =
    "UPDATE rejudgements SET mode = mode WHERE id = $1 AND ended_at IS NULL";
/// It is at its end with its last shard; but what is in shadow goes on.
pub(super) const END_REJUDGEMENT: &str = "UPDATE rejudgements SET ended_at = $2
    WHERE id = $1 AND ended_at IS NULL AND mode <> 3
        AND NOT EXISTS (SELECT 1 FROM rejudged WHERE rejudgement = $1 AND NOT done)";

/// A recipient key as rows keep it: NULL for none.
pub(super) fn recipient(key: RecipientKey) -> Option<Vec<u8>> {
    (key != RecipientKey::NONE).then(|| key.bytes().to_vec())
}

/// The recipient key that a hit claimed in its query, where the token names none.
pub(super) fn claimed(hit: &Hit) -> Option<Vec<u8>> {
    hit.message
        .filter(|_| hit.claimed)
        .and_then(|(_, key)| recipient(key))
}

/// Sequences as rows keep them.
pub(super) fn sequence(value: i64) -> u64 {
    unsigned(value)
}
