//! What one worker keeps its hits with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::domain::id_map::IdSet;
use crate::domain::record::Hit;
use crate::domain::time::Micros;

use super::counts::{Reason, add_one};
use super::frame::{self, Side, SideKind};
use super::ring::Producer;
use super::{Journal, Kept};

/// Ids whose text a worker remembers to have kept. Beyond, all are forgotten.
const KNOWN_MAX: usize = 65_536;
const HOUR_MICROS: i64 = 3_600_000_000;

/// How many new texts an hour may bring, over all workers.
#[derive(Debug, Default)]
pub(super) struct TextBudget {
    hour: AtomicI64,
    spent: AtomicU32,
}

impl TextBudget {
    /// Whether one more may be kept. The limit is a bound on what outsiders can cost, not a
    /// quota: two workers that turn the hour at once may let a few more through.
    pub(super) fn spend(&self, at: Micros, most: u32) -> bool {
        let hour = at.get() / HOUR_MICROS;
        if self.hour.swap(hour, Ordering::Relaxed) != hour {
            self.spent.store(0, Ordering::Relaxed);
        }
        self.spent.load(Ordering::Relaxed) < most
            && self.spent.fetch_add(1, Ordering::Relaxed) < most
    }

    /// One that was to be kept found no room.
    fn give_back(&self) {
        let less = |spent: u32| spent.checked_sub(1);
        // Where the hour has turned meanwhile there may be nothing to give back.
        let _given = self
            .spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// Keeps the hits of one worker, in a ring that no other worker writes. Dropped, it gives the
/// ring back.
#[derive(Debug)]
pub struct Keeper {
    journal: Arc<Journal>,
    producer: Option<Producer>,
    /// Ids whose text was kept within the hour: nearer to each record that names it than
    /// segments are kept.
    known: IdSet<u64>,
    known_hour: i64,
    text: Vec<u8>,
}

impl Keeper {
    pub(super) fn new(journal: Arc<Journal>, producer: Producer) -> Self {
        Self {
            journal,
            producer: Some(producer),
            known: IdSet::default(),
            known_hour: 0,
            text: Vec::new(),
        }
    }

    /// Keeps a hit; afterwards it survives the process. `text` is asked for the text behind an
    /// id that was not kept within the hour.
    ///
    /// # Errors
    /// The hit was not kept; it is counted under the reason.
    pub fn keep(&mut self, hit: &Hit, text: &dyn Fn(SideKind) -> Vec<u8>) -> Result<Kept, Reason> {
        self.keep_texts(hit, text);
        let Some(producer) = &mut self.producer else {
            return Err(Reason::RingFull);
        };
        let kept = producer.put(&mut frame::hit(hit));
        let ring = producer.ring();
        match kept {
            Ok(slot) => {
                if let Some(count) = ring.counts.hits.of(hit) {
                    add_one(count);
                }
                Ok(Kept {
                    ring: ring.worker(),
                    slot,
                })
            }
            Err(full) => {
                let reason = self.journal.refusing().unwrap_or(full);
                if let Some(count) = ring.counts.dropped.get(usize::from(reason.code())) {
                    add_one(count);
                }
                Err(reason)
            }
        }
    }

    fn keep_texts(&mut self, hit: &Hit, text: &dyn Fn(SideKind) -> Vec<u8>) {
        let hour = hit.at.get() / HOUR_MICROS;
        if self.known_hour != hour || self.known.len() >= KNOWN_MAX {
            self.known.clear();
            self.known_hour = hour;
        }
        for (kind, id) in frame::texts(hit) {
            if self.known.contains(&id) {
                continue;
            }
            let most = self.journal.options.side_texts_per_hour_max;
            let may = self.journal.texts.spend(hit.at, most);
            self.text.clear();
            if may {
                let text = text(kind);
                frame::write_side(&mut self.text, hit.at, &Side { kind, id, text });
            }
            let producer = self.producer.as_mut().filter(|_| may);
            if producer.is_some_and(|producer| producer.put(&mut self.text).is_ok()) {
                self.known.insert(id);
            } else {
                if may {
                    self.journal.texts.give_back();
                }
                let dropped = &self.journal.counts.side_texts_dropped;
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.journal.give_back(producer);
        }
    }
}
