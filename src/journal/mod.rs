//! The journal: the local append-only record of hits, kept before the answer.
//!
//! **The way of a record.** Each worker has a ring (`ring.rs`): memory that outlives the process,
//! mapped from the file `rings`. A hit is kept when it stands there. The drainer (`drain.rs`)
//! takes records out of all rings every `sync_every`, gives each the edge's next sequence, and
//! writes them to the log, which survives the process too; then it wipes their slots. The syncer
//! (`sync.rs`) makes the log survive a power cut, one fsync for everybody, and the next one as
//! soon as there is something new. Acts and acceptances do not go through a ring but through the
//! lane (`lane.rs`), and are answered when they are synced.
//!
//! **Format.** A directory of segments, `{first sequence}-{turn}-{epoch}.journal` (`segment.rs`),
//! the rings (`rings.rs`), and `edge`, the edge's id. Records are those of
//! [`crate::domain::record`], each on a 64-byte boundary. A record's CRC32C is seeded with the
//! epoch of its segment or the life of its ring, so bytes of an earlier life never validate.
//! Texts (agent strings, header sets) stand before the first record of a worker that names their
//! id, and again each hour.
//!
//! **Order.** Each record gets the edge's next sequence, never reused. A new segment begins at
//! each start, each `segment_bytes_max`, each 24th of `keep`, and after an fsync error: that error
//! is final for its file, and what was not yet synced is written again, under the same sequences,
//! into another one. A segment therefore ends where the next one's first sequence begins, whatever
//! stands behind that in its file.
//!
//! **After a crash** (`recovery.rs`) everything in the rings that the log does not have is
//! written to it, before the rings are made anew.
//!
//! **Delivery events** come as bodies of any size. Those lie in a spool (`spool.rs`) beside the
//! log, which holds their digest and where they are, and what was read out of them.
//!
//! **Reading.** [`Reader`] yields synced records after a position, each sequence once, skips,
//! counts and sets aside what does not validate, and never stops at it. [`Survey`] looks at a
//! directory from outside, also beside the process that writes it, and changes nothing.
//!
//! **A disk that refuses** holds up nobody: rings fill, then hits are dropped and counted under
//! its reason, and acts are answered 503, until it takes records again.
//!
//! **Refuses.** Two processes on one directory; a file of a newer version; deleting anything
//! that is not settled.

mod begin;
mod counts;
mod delivery;
mod disk;
mod drain;
mod elsewhere;
mod entry;
mod frame;
mod keeper;
mod lane;
mod mapped;
mod options;
mod quarantine;
mod reader;
mod recovery;
mod ring;
mod rings;
mod segment;
mod spool;
mod spool_file;
mod stall;
mod survey;
mod sync;
mod writer;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::act::Act;
use crate::domain::hit::HitKind;
use crate::domain::judgement::Class;
use crate::domain::record::Hit;
use crate::domain::time::Micros;

use ring::{Producer, Ring};
use segment::Segments;
use stall::Stall;

pub use counts::{JournalCounts, Reason};
pub use delivery::Room;
pub use drain::Drainer;
pub use entry::{Accepted, EdgeId, Entry, Received, Source};
pub use frame::{Side, SideKind};
pub use keeper::Keeper;
pub use options::{Durability, JournalError, JournalOptions};
pub use reader::Reader;
pub use survey::{
    Bodies, Body, Gap, Kinds, LostFile, Other, Record, Records, Report, RingsReport, SegmentReport,
    Span, SpoolReport, Survey,
};
pub use sync::Syncer;

/// A sync that ends longer than this after the hit is counted and wants looking at.
pub const WINDOW_ALARM: Duration = Duration::from_millis(50);
/// How long an act may wait for its sync before it is answered 503.
pub const ACT_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where a hit was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    ring: u8,
    slot: u64,
}

/// How far the log survives a power cut.
#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    sequence: u64,
    /// Last ticket of the lane that is synced.
    ticket: u64,
    /// Last ticket of the lane that was thrown away.
    refused: u64,
}

/// Whether a thread's last round failed, and why.
#[derive(Debug, Default)]
struct State(AtomicU8);

impl State {
    fn set(&self, failing: Option<Reason>) {
        let code = failing.map_or(0, |reason| reason.code() + 1);
        self.0.store(code, Ordering::Relaxed);
    }

    fn get(&self) -> Option<Reason> {
        let code = usize::from(self.0.load(Ordering::Relaxed));
        Reason::ALL.get(code.checked_sub(1)?).copied()
    }
}

/// The journal of one data directory.
#[derive(Debug)]
pub struct Journal {
    options: JournalOptions,
    segments: Segments,
    spool: spool::Spool,
    rings: Vec<Arc<Ring>>,
    /// Producers that no worker has.
    producers: Mutex<Vec<Producer>>,
    lane: lane::Lane,
    writer: writer::Writer,
    synced: watch::Sender<Synced>,
    texts: keeper::TextBudget,
    counts: JournalCounts,
    drain_state: State,
    sync_state: State,
    draining: Stall,
    syncing: Stall,
}

impl Journal {
    /// The edge whose hits these are.
    #[must_use]
    pub fn edge(&self) -> EdgeId {
        self.segments.edge
    }

    /// What happened since the start.
    #[must_use]
    pub fn counts(&self) -> &JournalCounts {
        &self.counts
    }

    /// Hits of a kind kept since the start, by the class of their provisional judgement.
    #[must_use]
    pub fn hits(&self, kind: HitKind, class: Class) -> u64 {
        let rings = self.rings.iter().map(|ring| &ring.counts.hits);
        rings
            .chain([&self.counts.act_hits])
            .map(|hits| hits.read(kind, class))
            .sum()
    }

    /// How many rings there are, and how full the fullest one is, 0 to 1.
    #[must_use]
    pub fn rings(&self) -> (usize, f64) {
        let fill = self.rings.iter().map(|ring| ring.fill());
        (self.rings.len(), fill.fold(0.0, f64::max))
    }

    /// What it was opened with.
    #[must_use]
    pub fn options(&self) -> &JournalOptions {
        &self.options
    }

    /// Bytes of the bodies in the spool, as of the last time that old ones were deleted, and what
    /// was written since.
    #[must_use]
    pub fn spool_bytes(&self) -> u64 {
        self.spool.bytes()
    }

    /// Hits answered and not kept since the start, by reason.
    #[must_use]
    pub fn dropped(&self) -> [(Reason, u64); Reason::ALL.len()] {
        Reason::ALL.map(|reason| {
            let code = usize::from(reason.code());
            let counts = self.rings.iter().map(|ring| ring.counts.dropped.get(code));
            let dropped = counts.flatten().map(|count| count.load(Ordering::Relaxed));
            (reason, dropped.sum())
        })
    }

    /// Pages that the file system refused, most of them of the rings: hits kept there outlive the
    /// process no longer, until the next start.
    #[must_use]
    pub fn pages_lost(&self) -> u64 {
        mapped::pages_lost()
    }

    /// Why the disk takes nothing at present, if it does not.
    #[must_use]
    pub fn refusing(&self) -> Option<Reason> {
        let failing = self.drain_state.get().or_else(|| self.sync_state.get());
        let hangs = self.draining.age().max(self.syncing.age()) > stall::HUNG || self.spool.hangs();
        failing.or_else(|| hangs.then_some(Reason::DiskHung))
    }

    /// Age of the oldest hit that a power cut would take, as far as it is known: of the sync
    /// under way, or that of the last one when it ended.
    #[must_use]
    pub fn window(&self) -> Duration {
        let last = self.counts.window_micros.load(Ordering::Relaxed);
        let now = self.draining.age().max(self.syncing.age());
        now.max(Duration::from_micros(last))
    }

    /// Highest sequence that survives a power cut.
    #[must_use]
    pub fn synced_to(&self) -> u64 {
        self.synced.borrow().sequence
    }

    /// Highest sequence given out.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.writer.last()
    }

    /// Whether everything that was kept survives a power cut.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let synced = self.rings.iter().all(|ring| ring.head() <= ring.synced());
        synced && self.last() <= self.synced_to()
    }

    /// Makes sure that no sequence up to `position` is given out: a store that knows it has
    /// counted it.
    pub fn skip_to(&self, position: u64) {
        self.writer.skip_to(position);
    }

    /// What one worker keeps its hits with; `None` if there are more workers than rings.
    #[must_use]
    pub fn keeper(self: &Arc<Self>) -> Option<Keeper> {
        let producers = self.producers.lock();
        let producer = producers.unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Keeper::new(Arc::clone(self), producer))
    }

    fn give_back(&self, producer: Producer) {
        let producers = self.producers.lock();
        producers
            .unwrap_or_else(PoisonError::into_inner)
            .push(producer);
    }

    /// When a hit may be answered.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.options.durability
    }

    /// Waits until a hit survives a power cut, but at most `sync_wait`; then it is counted as
    /// answered all the same.
    pub async fn until_synced(&self, kept: Kept) {
        let Some(ring) = self.rings.get(usize::from(kept.ring)) else {
            return;
        };
        let mut synced = self.synced.subscribe();
        self.lane.hurry();
        let wait = synced.wait_for(|_| ring.synced() >= kept.slot);
        let reached = tokio::time::timeout(self.options.sync_wait, wait).await;
        if !matches!(reached, Ok(Ok(_))) {
            self.counts.acked_unsynced.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps an act, and its hit where one may be recorded; afterwards both survive a power cut.
    ///
    /// # Errors
    /// It may not have been kept: answer 503, and let the reader try again.
    pub async fn append_act(
        &self,
        act: &Act,
        hit: Option<&Hit>,
        text: &dyn Fn(SideKind) -> Vec<u8>,
    ) -> Result<(), JournalError> {
        let mut records = Vec::new();
        let counted = hit.and_then(|hit| self.counts.act_hits.of(hit));
        frame::write_act(&mut records, act);
        if let Some(hit) = hit {
            for (kind, id) in frame::texts(hit) {
                let most = self.options.side_texts_per_hour_max;
                if self.texts.spend(hit.at, most) {
                    let text = text(kind);
                    frame::write_side(&mut records, hit.at, &Side { kind, id, text });
                }
            }
            records.extend_from_slice(&frame::hit(hit));
        }
        self.append_synced(&records).await?;
        if let Some(count) = counted {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn append_synced(&self, records: &[u8]) -> Result<(), JournalError> {
        if !self.has_begun() {
            return Err(JournalError::NotSynced);
        }
        let mut synced = self.synced.subscribe();
        let ticket = self.lane.submit(records).ok_or(JournalError::NotSynced)?;
        let known = synced.wait_for(|to| to.refused >= ticket || to.ticket >= ticket);
        match tokio::time::timeout(ACT_WAIT_MAX, known).await {
            // Refused first: a later ticket may have been synced meanwhile.
            Ok(Ok(to)) if to.refused < ticket => Ok(()),
            _ => Err(JournalError::NotSynced),
        }
    }

    /// Tells whoever waits for tickets up to this one that the disk did not take them.
    fn refuse(&self, ticket: u64) {
        self.synced.send_modify(|synced| synced.refused = ticket);
    }

    /// A reader of everything synced after `position`.
    #[must_use]
    pub fn reader(self: &Arc<Self>, position: u64) -> Reader {
        Reader::new(Arc::clone(self), position)
    }

    /// The part that moves records from the rings to the log; run it on a thread of its own.
    #[must_use]
    pub fn drainer(self: &Arc<Self>) -> Drainer {
        Drainer::new(Arc::clone(self))
    }

    /// The part that makes the log survive a power cut; run it on a thread of its own.
    #[must_use]
    pub fn syncer(self: &Arc<Self>) -> Syncer {
        Syncer::new(Arc::clone(self))
    }

    /// Deletes what is settled and old enough, oldest first: segments, bodies of the spool, and
    /// bytes that were set aside. Returns the bytes of the log that remain.
    ///
    /// # Errors
    /// The directory cannot be read, or a file not deleted.
    pub fn expire(&self, settled_to: u64, now: Micros) -> Result<u64, JournalError> {
        let disk = &*self.segments.disk;
        // Each on its own: addresses stand in all of them, and must not wait for the others.
        let aside = quarantine::expire(disk, self.options.keep, now);
        // What stands in the log is known once it has begun.
        let begun = self.has_begun();
        let bodies = begun.then(|| self.spool.expire(settled_to, self.last(), now));
        let log = self.segments.expire(&self.options, settled_to, now);
        if let Ok(bytes) = &log {
            self.counts.log_bytes.store(*bytes, Ordering::Relaxed);
        }
        aside.and(bodies.unwrap_or(Ok(()))).and(log)
    }
}

#[cfg(test)]
mod sabotage;
#[cfg(test)]
pub(crate) mod tests;
