//! What this process settles: everything, or the shards that it has leases of.

use std::collections::HashMap;

use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::journal::EdgeId;
use crate::store::{EdgeState, Inbox, Lease, Shared, StoreError, Turns};

use super::Missing;
use super::window::Windows;

/// How often what is settled is written down for others, and how far this edge is; leases are
/// renewed half as often.
const SAY_EVERY: i64 = 1_000_000;

/// What this process settles.
#[derive(Debug)]
pub(super) enum Held {
    /// The store is this process's alone.
    All,
    /// Several settle into it.
    Leased(Box<Leased>),
}

impl Held {
    pub(super) fn has(&self, shard: Shard) -> bool {
        match self {
            Self::All => true,
            Self::Leased(leased) => leased.turns.contains_key(&shard),
        }
    }
}

/// Shards by lease, and what is to be known of the edges whose hits they have.
#[derive(Debug)]
pub(super) struct Leased {
    turns: Turns,
    /// Every edge, as last asked.
    edges: Vec<EdgeState>,
    /// Last row of the inbox when the leases were taken: up to there are hits that stand before
    /// some that the store has. `None` once they are taken in.
    behind: Option<i64>,
    /// Time up to which each edge's hits have been taken in.
    taken_to: HashMap<i64, Micros>,
    /// The last row of the inbox at some moment, and what each edge had shipped by then.
    mark: Option<(Option<i64>, HashMap<i64, Micros>)>,
    /// Since when others can be heard of, by the server's clock.
    since: Micros,
    /// As last asked.
    missing: Missing,
    said_at: Micros,
    renewed_at: Micros,
}

impl Leased {
    /// With these leases, of now.
    pub(super) async fn begin(
        shared: Shared<'_>,
        turns: Turns,
        (since, now): (Micros, Micros),
    ) -> Result<Self, StoreError> {
        let edges = shared.edges(since).await?;
        let behind = match turns.is_empty() {
            true => None,
            false => shared.last_in_inbox().await?,
        };
        Ok(Self {
            turns,
            edges,
            behind,
            taken_to: HashMap::new(),
            mark: None,
            since,
            missing: Missing::default(),
            said_at: Micros::default(),
            renewed_at: now,
        })
    }

    pub(super) const fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(super) fn edges(&self) -> &[EdgeState] {
        &self.edges
    }

    /// Says which edges are not waited for any more, and which are again.
    fn take_edges(&mut self, now: Vec<EdgeState>) {
        for edge in &now {
            let before = self.edges.iter().find(|before| before.edge == edge.edge);
            let was = before.is_some_and(|before| before.silent);
            match (was, edge.silent) {
                (false, true) => tracing::warn!(
                    edge = %edge.id, shipped_to = %edge.shipped_to,
                    "settle: an edge is silent; what it has kept is counted when it is back"
                ),
                (true, false) => tracing::info!(edge = %edge.id, "settle: an edge is back"),
                _ => {}
            }
        }
        self.edges = now;
    }

    /// Looks at what others do, or do not.
    pub(super) async fn look_around(&mut self, shared: Shared<'_>) -> Result<(), StoreError> {
        if self.turns.is_empty() {
            self.take_edges(shared.edges(self.since).await?);
        }
        (self.missing.unheld_shards, self.missing.inbox_rows) = shared.undone().await?;
        Ok(())
    }

    /// What others do not do.
    pub(super) fn missing(&self) -> Missing {
        let silent = self.edges.iter().filter(|edge| edge.silent);
        Missing {
            silent_edges: u32::try_from(silent.count()).unwrap_or(u32::MAX),
            ..self.missing
        }
    }

    /// Whether hits that stand before those of the store are still in the inbox. Until they are
    /// taken in, no window closes, and nothing is read of the journal.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// What waits in the inbox, with how far the edges were before it was read.
    pub(super) async fn read(
        &mut self,
        shared: Shared<'_>,
        limit: usize,
    ) -> Result<Inbox, StoreError> {
        if self.turns.is_empty() {
            return Ok(Inbox {
                emptied: true,
                ..Inbox::default()
            });
        }
        self.take_edges(shared.edges(self.since).await?);
        let shards = self.turns.keys().copied();
        let inbox = shared.inbox(shards, &self.edges, limit).await?;
        let shipped = self.edges.iter().map(|of| (of.edge, of.shipped_to));
        if inbox.emptied {
            (self.taken_to, self.mark) = (shipped.collect(), None);
            return Ok(inbox);
        }
        // As long as more waits, from one moment to a later one.
        let last = inbox.rows.last();
        if let Some((_, taken_to)) = self.mark.take_if(|(row, _)| last >= row.as_ref()) {
            self.taken_to = taken_to;
        }
        if self.mark.is_none() {
            let shipped = shipped.collect();
            self.mark = Some((shared.last_in_inbox().await?, shipped));
        }
        Ok(inbox)
    }

    /// After a round that took this in.
    pub(super) fn took(&mut self, last_row: Option<i64>, emptied: bool) {
        if emptied || last_row >= self.behind {
            self.behind = None;
        }
    }

    /// Begins with the windows of every edge; up to when the hits of all of them are settled.
    pub(super) async fn begin_windows(
        &self,
        shared: Shared<'_>,
        windows: &mut Windows,
    ) -> Result<Micros, StoreError> {
        if self.turns.is_empty() {
            return Ok(Micros::default());
        }
        let (lanes, settled_to) = shared.lanes(self.turns.keys().copied()).await?;
        let lanes: HashMap<_, _> = lanes.into_iter().collect();
        for of in &self.edges {
            let settled = lanes.get(&of.edge).copied();
            let settled = settled.unwrap_or(of.settled_sequence);
            windows.begin(of.edge, settled, of.sequence);
        }
        Ok(settled_to)
    }

    /// Time up to which what was shipped by all edges that are waited for, but this one, has been
    /// taken in here.
    pub(super) fn taken_to(&self, own: i64) -> Option<Micros> {
        let others = self.edges.iter().filter(|of| of.edge != own);
        let heard = others.filter(|of| of.seen_at.is_some() && !of.silent);
        let taken_to = |of: &EdgeState| self.taken_to.get(&of.edge).copied().unwrap_or_default();
        heard.map(taken_to).min()
    }

    /// Whether others are to be told how far this process is.
    pub(super) fn is_to_say(&self, now: Micros) -> bool {
        apart(self.said_at, now) >= SAY_EVERY
    }

    /// Whether leases are to be renewed, and shared out anew.
    pub(super) fn is_to_renew(&self, now: Micros) -> bool {
        apart(self.renewed_at, now) >= 2 * SAY_EVERY
    }

    pub(super) fn renewed(&mut self, now: Micros) {
        self.renewed_at = now;
    }

    /// What a transaction needs to settle these shards, or all of them.
    pub(super) fn lease(&self, holder: EdgeId, of: impl Fn(Shard) -> bool) -> Lease {
        let turns = self.turns.iter().filter(|(shard, _)| of(**shard));
        Lease {
            holder,
            turns: turns.map(|(shard, turn)| (*shard, *turn)).collect(),
            taken: Vec::new(),
            lanes: Vec::new(),
            settled_to: None,
        }
    }

    /// After a transaction with this lease.
    pub(super) fn moved(&mut self, lease: &Lease) {
        for shard in lease.turns.keys() {
            if let Some(turn) = self.turns.get_mut(shard) {
                *turn += 1;
            }
        }
    }

    pub(super) fn said(&mut self, now: Micros) {
        self.said_at = now;
    }
}

/// A clock may be set back.
const fn apart(one: Micros, other: Micros) -> i64 {
    one.get().saturating_sub(other.get()).saturating_abs()
}
