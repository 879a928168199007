//! Where a settler is with one store: its journal, its leases, its windows, and what it knows of
//! messages. Made anew after every error.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::journal::{EdgeId, Reader};
use crate::store::{
    Arrival, Inbox, Ingest, Lease, Moved, Position, Shared, Store, StoreError, StoredHit, Turns,
};

use super::came::{Came, Written};
use super::day_keys::DayKeys;
use super::held::{Held, Leased};
use super::known::Known;
use super::shadows::Shadow;
use super::window::{Due, Windows};
use super::{Missing, SettleError, SettleOptions, micros};

/// Where a settler is.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) own: Own,
    pub(super) held: Held,
    pub(super) windows: Windows,
    pub(super) known: Known,
    pub(super) settled_to: Micros,
    /// Rule sets that are counted beside what is in force.
    pub(super) shadows: Vec<Shadow>,
}

/// The journal of this process.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) edge: i64,
    pub(super) id: EdgeId,
    pub(super) position: Position,
    pub(super) reader: Reader,
    /// Every hit before this is in the store.
    pub(super) shipped_to: Micros,
}

impl Connected {
    /// Where the store says that everything is. `None` for `shared`: it is this process's alone.
    /// Others could be heard of `since` then, by the server's clock.
    pub(super) async fn begin(
        own: Own,
        shared: Option<(Shared<'_>, Turns)>,
        options: &SettleOptions,
        (since, now): (Micros, Micros),
    ) -> Result<Self, StoreError> {
        let mut windows = Windows::new(options.window_hits_max);
        let (held, settled_to) = match shared {
            Some((shared, turns)) => {
                let leased = Leased::begin(shared, turns, (since, now)).await?;
                let settled_to = leased.begin_windows(shared, &mut windows).await?;
                (Held::Leased(Box::new(leased)), settled_to)
            }
            None => {
                let Position {
                    sequence,
                    settled_sequence,
                    settled_to,
                } = own.position;
                windows.begin(own.edge, settled_sequence, sequence);
                (Held::All, settled_to)
            }
        };
        Ok(Self {
            own,
            held,
            windows,
            known: Known::default(),
            settled_to,
            shadows: Vec::new(),
        })
    }

    /// Whether hits that stand before some of the store's are still to be taken in.
    pub(super) fn is_behind(&self) -> bool {
        matches!(&self.held, Held::Leased(leased) if leased.is_behind())
    }

    /// What others do not do.
    pub(super) fn missing(&self) -> Missing {
        match &self.held {
            Held::All => Missing::default(),
            Held::Leased(leased) => leased.missing(),
        }
    }

    /// Reads on in inbox and journal; and whether the journal has more.
    pub(super) async fn read(
        &mut self,
        store: &Store,
        day_keys: &DayKeys,
        limit: usize,
    ) -> Result<(Came, bool), SettleError> {
        let mut inbox = Inbox {
            emptied: true,
            ..Inbox::default()
        };
        let behind = self.is_behind();
        if let (Held::Leased(leased), Some(shared)) = (&mut self.held, store.shared()) {
            inbox = leased.read(shared, limit).await?;
            for new in leased.edges() {
                // Windows of those that were there before have begun; of a new one the store has
                // nothing.
                self.windows.begin(new.edge, 0, 0);
            }
        }
        let mut came = Came::of_inbox(inbox);
        let mut more = false;
        if !behind {
            let own = &mut self.own;
            for entry in own.reader.read(limit)? {
                came.add(entry, (own.edge, own.id), &self.held, day_keys);
            }
            more = own.reader.has_more();
        }
        Ok((came, more))
    }

    /// Takes out hits that are due.
    pub(super) async fn due(
        &mut self,
        store: &Store,
        is_due: impl Fn(Micros) -> bool,
        limit: usize,
    ) -> Result<Due, StoreError> {
        if self.is_behind() {
            return Ok(Due::default());
        }
        self.windows.due(store, &self.held, is_due, limit).await
    }

    /// Time of hits that every edge which is waited for has shipped.
    pub(super) fn shipped_to(&self, own: Option<Micros>, now: Micros) -> Micros {
        let others = match &self.held {
            Held::All => None,
            Held::Leased(leased) => leased.taken_to(self.own.edge),
        };
        [own, others]
            .into_iter()
            .flatten()
            .min()
            .map_or(now, |to| to.min(now))
    }

    /// Time up to which everything is settled, if it comes to `to`: it never goes back, unless the
    /// clock was. Who settles nothing has it from the store.
    pub(super) fn settles_to(&self, to: Micros, now: Micros) -> Micros {
        let settles = match &self.held {
            Held::All => true,
            Held::Leased(leased) => !leased.turns().is_empty() && !leased.is_behind(),
        };
        match self.settled_to {
            before if !settles => before,
            before if before <= now => to.max(before),
            _ => to,
        }
    }

    /// What the transaction of this round needs of leases; `None` where there are none.
    pub(super) fn lease(
        &self,
        holder: EdgeId,
        came: &Came,
        due: &Due,
        say: Option<Micros>,
    ) -> Option<Lease> {
        let Held::Leased(leased) = &self.held else {
            return None;
        };
        let mut touched: Vec<_> = came.here.iter().map(Arrival::shard).collect();
        touched.extend(due.hits.iter().map(|(_, stored)| stored.shard()));
        touched.sort_unstable();
        touched.dedup();
        // An unreadable row does not say whose it is.
        let all = say.is_some() || came.unreadable > 0;
        let touches = |shard| all || touched.binary_search(&shard).is_ok();
        let mut lease = leased.lease(holder, touches);
        lease.taken.clone_from(&came.rows);
        lease.settled_to = say;
        if say.is_some() && !leased.is_behind() {
            lease.lanes = self.windows.settled().collect();
        }
        Some(lease)
    }

    /// What a transaction needs of leases that touches these shards.
    pub(super) fn lease_of(
        &self,
        holder: EdgeId,
        touches: impl Fn(Shard) -> bool,
    ) -> Option<Lease> {
        match &self.held {
            Held::All => None,
            Held::Leased(leased) => Some(leased.lease(holder, touches)),
        }
    }

    /// The store has this, which came of no journal and no inbox.
    pub(super) fn wrote(&mut self, written: Ingest) {
        self.known.wrote(written.messages);
        if let (Held::Leased(leased), Some(lease)) = (&mut self.held, &written.lease) {
            leased.moved(lease);
        }
    }

    /// Whether a round is worth a transaction for saying how far it has come.
    pub(super) fn is_to_say(&self, options: &SettleOptions, to: Micros, now: Micros) -> bool {
        match &self.held {
            Held::Leased(leased) => leased.is_to_say(now),
            Held::All => {
                let often = micros(options.window / 4).clamp(1_000_000, 15_000_000);
                to.get().saturating_sub(self.settled_to.get()) >= often
            }
        }
    }

    /// It was said; who asks the store is to find it.
    pub(super) async fn said(&mut self, store: &Store, now: Micros) -> Result<(), StoreError> {
        let (Held::Leased(leased), Some(shared)) = (&mut self.held, store.shared()) else {
            return Ok(());
        };
        leased.said(now);
        leased.look_around(shared).await?;
        match leased.turns().is_empty() {
            true => self.settled_to = store.settled_to().await?.unwrap_or_default(),
            false => shared.tell_settled().await?,
        }
        Ok(())
    }

    /// How the journal of this process moves.
    pub(super) fn moved(
        &self,
        settled: Option<u64>,
        (settled_to, shipped_to): (Micros, Option<Micros>),
        waited_for: bool,
    ) -> Moved {
        let own = &self.own;
        let from = own.position;
        Moved {
            edge: own.edge,
            from,
            to: Position {
                sequence: own.reader.position(),
                settled_sequence: settled.unwrap_or(from.settled_sequence),
                settled_to,
            },
            shipped_to: shipped_to.unwrap_or(own.shipped_to),
            waited_for,
        }
    }

    /// The store has this, which came of what the round had read.
    pub(super) fn took(&mut self, written: Ingest, came: &Written) {
        let mut hits: BTreeMap<i64, VecDeque<Box<StoredHit>>> = BTreeMap::new();
        for (edge, hit) in written.hits {
            hits.entry(edge).or_default().push_back(hit);
        }
        self.known.wrote(written.messages);
        let mut to = came.last.clone();
        if let Held::Leased(leased) = &mut self.held {
            if came.emptied {
                for of in leased.edges() {
                    let to = to.entry(of.edge).or_default();
                    *to = of.sequence.max(*to);
                }
            }
            leased.took(came.last_row, came.emptied);
            if let Some(lease) = &written.lease {
                leased.moved(lease);
            }
        }
        if let Some(moved) = written.journal {
            self.own.position = moved.to;
            self.own.shipped_to = moved.shipped_to;
            to.insert(moved.edge, moved.to.sequence);
        }
        for (edge, to) in to {
            let hits = hits.remove(&edge).unwrap_or_default();
            self.windows.add(edge, to, hits);
        }
    }
}
