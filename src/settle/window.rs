//! Hits whose windows are open, in memory as far as there is room: settling so need not ask the
//! store for what it has just written. What has no room is read back from the store when its turn
//! comes, and so is everything after a start.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::time::Micros;
use crate::store::{HitPlace, Store, StoreError, StoredHit};

use super::held::Held;

/// Hits that are read back at once: also over a slow way soon enough.
const PAGE: usize = 1_000;

/// The open windows of every edge, as far as they are settled here.
#[derive(Debug, Default)]
pub(super) struct Windows {
    edges: BTreeMap<i64, Window>,
    room: usize,
}

/// Hits that were taken out to be settled.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Each behind the row of its edge; in order within an edge.
    pub(super) hits: Vec<(i64, Box<StoredHit>)>,
    /// There may be more.
    pub(super) more: bool,
    /// Time up to which there is none, where there may be.
    pub(super) settled_to: Option<Micros>,
}

impl Windows {
    pub(super) fn new(room: usize) -> Self {
        Self {
            edges: BTreeMap::new(),
            room,
        }
    }

    /// Begins with an edge whose hits are settled up to `settled` and written up to `written`,
    /// unless it is there.
    pub(super) fn begin(&mut self, edge: i64, settled: u64, written: u64) {
        let window = || Window::new(settled, written);
        self.edges.entry(edge).or_insert_with(window);
    }

    /// Takes hits that are due, at most about `limit`; stops within each edge before the first that
    /// is not. A round that fails makes the windows anew.
    pub(super) async fn due(
        &mut self,
        store: &Store,
        held: &Held,
        is_due: impl Fn(Micros) -> bool,
        limit: usize,
    ) -> Result<Due, StoreError> {
        let edges = self.edges.len().max(1);
        let (room, limit) = (self.room / edges, limit.div_ceil(edges));
        let mut due = Due::default();
        for (edge, window) in &mut self.edges {
            let before = due.hits.len();
            let from = Edge {
                store,
                row: *edge,
                held,
            };
            window
                .due(from, &is_due, room, limit, &mut due.hits)
                .await?;
            if due.hits.len() - before == limit {
                let last = due.hits.last().map(|(_, stored)| stored.hit.at);
                due.more = true;
                due.settled_to = due.settled_to.into_iter().chain(last).min();
            }
        }
        Ok(due)
    }

    /// Hits of one edge that the store has taken: all there are to settle here up to `to`, and
    /// behind what it had before.
    pub(super) fn add(&mut self, edge: i64, to: u64, hits: VecDeque<Box<StoredHit>>) {
        let room = self.room / self.edges.len().max(1);
        if let Some(window) = self.edges.get_mut(&edge) {
            window.add(to, room, hits);
        }
    }

    /// Whether the window of a hit that the store has may be open.
    pub(super) fn is_open(&self, (edge, sequence): HitPlace) -> bool {
        let window = self.edges.get(&edge);
        window.is_some_and(|window| sequence > window.settled())
    }

    /// Last sequences of every edge up to which nothing is open.
    pub(super) fn settled(&self) -> impl Iterator<Item = (i64, u64)> {
        let edges = self.edges.iter();
        edges.map(|(edge, window)| (*edge, window.settled()))
    }
}

/// Where hits of an edge are read back from.
#[derive(Clone, Copy)]
struct Edge<'s> {
    store: &'s Store,
    row: i64,
    held: &'s Held,
}

/// The open windows of one edge.
#[derive(Debug)]
struct Window {
    /// In order of their sequences.
    hits: VecDeque<Box<StoredHit>>,
    /// Last sequence up to which no open hit is missing here.
    complete_to: u64,
    /// Last sequence that the store has, of what is settled here.
    written: u64,
}

impl Window {
    /// Nothing is in memory yet.
    const fn new(settled: u64, written: u64) -> Self {
        Self {
            hits: VecDeque::new(),
            complete_to: settled,
            written,
        }
    }

    async fn due(
        &mut self,
        from: Edge<'_>,
        is_due: impl Fn(Micros) -> bool,
        room: usize,
        limit: usize,
        due: &mut Vec<(i64, Box<StoredHit>)>,
    ) -> Result<(), StoreError> {
        // Out of a backlog, it catches up with what is written meanwhile.
        if self.complete_to < self.written && self.hits.len() + PAGE <= room {
            self.read_back(from).await?;
        }
        let mut left = limit;
        while left > 0 {
            match self.hits.front() {
                Some(open) if !is_due(open.hit.at) => break,
                Some(_) => {
                    left -= 1;
                    due.extend(self.hits.pop_front().map(|hit| (from.row, hit)));
                }
                None if self.complete_to >= self.written => break,
                None => self.read_back(from).await?,
            }
        }
        if self.hits.capacity() > 4 * (self.hits.len() + PAGE) {
            self.hits.shrink_to_fit();
        }
        Ok(())
    }

    async fn read_back(&mut self, from: Edge<'_>) -> Result<(), StoreError> {
        let more = from.store.hits_after(from.row, self.complete_to, PAGE);
        let more = more.await?;
        self.complete_to = more.last_sequence.unwrap_or(self.written);
        let own = |stored: &StoredHit| from.held.has(stored.shard());
        self.hits
            .extend(more.hits.into_iter().filter(own).map(Box::new));
        Ok(())
    }

    fn add(&mut self, to: u64, room: usize, hits: VecDeque<Box<StoredHit>>) {
        let from = self.written;
        self.written = from.max(to);
        if self.complete_to < from {
            return;
        }
        let room = room.saturating_sub(self.hits.len());
        let fit = hits.len() <= room;
        self.hits.extend(hits.into_iter().take(room));
        self.complete_to = match self.hits.back() {
            _ if fit => to.max(from),
            Some(last) => last.sequence,
            None => from,
        };
    }

    fn settled(&self) -> u64 {
        match self.hits.front() {
            Some(open) => open.sequence.saturating_sub(1),
            None => self.complete_to.min(self.written),
        }
    }
}
