//! Hits whose windows are open, in memory as far as there is room: settling so need not ask the
//! store for what it has just written. What has no room is read back from the store when its turn
//! comes, and so is everything after a start.

use std::collections::VecDeque;

use crate::domain::time::Micros;
use crate::store::{Position, Store, StoreError, StoredHit};

/// Hits that are read back at once: also over a slow way soon enough.
const PAGE: usize = 1_000;

/// The open windows of one edge.
#[derive(Debug)]
pub(super) struct Window {
    edge: i64,
    /// In order of their sequences.
    hits: VecDeque<StoredHit>,
    /// Last sequence up to which no open hit is missing here.
    complete_to: u64,
    room: usize,
}

impl Window {
    /// At this position of an edge's row; nothing is in memory yet.
    pub(super) const fn new(edge: i64, position: Position, room: usize) -> Self {
        Self {
            edge,
            hits: VecDeque::new(),
            complete_to: position.settled_sequence,
            room,
        }
    }

    /// Takes hits that are due, in order, at most `limit`; stops before the first that is not. A
    /// round that fails makes the window anew. `written` is the last sequence that the store has.
    pub(super) async fn due(
        &mut self,
        store: &Store,
        written: u64,
        is_due: impl Fn(Micros) -> bool,
        limit: usize,
    ) -> Result<Vec<StoredHit>, StoreError> {
        // Out of a backlog, it catches up with what is written meanwhile.
        if self.complete_to < written && self.hits.len() + PAGE <= self.room {
            self.read_back(store, written).await?;
        }
        let mut due = Vec::new();
        while due.len() < limit {
            match self.hits.front() {
                Some(open) if !is_due(open.hit.at) => break,
                Some(_) => due.extend(self.hits.pop_front()),
                None if self.complete_to >= written => break,
                None => self.read_back(store, written).await?,
            }
        }
        if self.hits.capacity() > 4 * (self.hits.len() + PAGE) {
            self.hits.shrink_to_fit();
        }
        Ok(due)
    }

    async fn read_back(&mut self, store: &Store, written: u64) -> Result<(), StoreError> {
        let more = store.hits_after(self.edge, self.complete_to, PAGE).await?;
        self.complete_to = more.last_sequence.unwrap_or(written);
        self.hits.extend(more.hits);
        Ok(())
    }

    /// Hits that the store has taken: all there are behind `from`, up to `to`.
    pub(super) fn add(&mut self, from: u64, to: u64, hits: Vec<StoredHit>) {
        if self.complete_to < from {
            return;
        }
        let room = self.room.saturating_sub(self.hits.len());
        let fit = hits.len() <= room;
        self.hits.extend(hits.into_iter().take(room));
        self.complete_to = match self.hits.back() {
            _ if fit => to,
            Some(last) => last.sequence,
            None => from,
        };
    }
}
