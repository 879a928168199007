//! One worker's ring: where a hit is kept before it is answered.
//!
//! A ring is memory that outlives the process, in slots of 128 bytes, a power of two of them. Its
//! one [`Producer`] puts records into it, each into as many slots as it needs; the drainer takes
//! them out, writes them to the log, wipes the slots and gives them back. Slots are numbered from
//! 1 on and never numbered again within a life; slot `n` lies at `(n - 1) % slots`.
//!
//! A record counts as kept when all its words are stored: its sum, seeded with the ring's life,
//! says so after a crash. Within the process `head` and `freed` hand slots to and fro, each
//! written by one side alone. Nothing here locks, waits, allocates or enters the kernel.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::domain::record::HIT_BYTES;

use super::counts::{Reason, RingCounts};
use super::disk::Memory;
use super::frame::{self, Origin};

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = HIT_BYTES;
const WORD_BYTES: usize = size_of::<u64>();
/// Words of a slot.
pub(super) const SLOT_WORDS: usize = SLOT_BYTES / WORD_BYTES;

/// A number that one side writes, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// The slots of one ring, in memory.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) memory: Arc<Memory>,
    /// Index of its first word.
    pub(super) begins_at: usize,
    /// How many, a power of two.
    pub(super) count: u64,
    pub(super) life: u32,
}

impl Slots {
    /// The words of slot `n`.
    fn slot(&self, n: u64) -> &[AtomicU64] {
        let index = usize::try_from((n - 1) & (self.count - 1)).unwrap_or(0);
        let from = self.begins_at + index * SLOT_WORDS;
        self.memory
            .words()
            .get(from..from + SLOT_WORDS)
            .unwrap_or_default()
    }

    fn copy_slot(&self, n: u64, to: &mut Vec<u8>) {
        let mut bytes = [0; SLOT_BYTES];
        let words = bytes.chunks_exact_mut(WORD_BYTES).zip(self.slot(n));
        for (bytes, word) in words {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        to.extend_from_slice(&bytes);
    }
}

/// What producer and drainer share of one ring.
#[derive(Debug)]
pub(super) struct Ring {
    worker: u8,
    /// Empty until the disk has given it room: then it is a ring that is always full.
    room: OnceLock<Slots>,
    /// Slots given to records so far; written by the producer.
    head: Line,
    /// Slots drained so far; written by the drainer.
    freed: Line,
    /// Slots whose records survive a power cut; written by the syncer.
    synced: Line,
    pub(super) counts: RingCounts,
}

impl Ring {
    /// One without room.
    pub(super) fn new(worker: u8) -> Self {
        Self {
            worker,
            room: OnceLock::new(),
            head: Line::default(),
            freed: Line::default(),
            synced: Line::default(),
            counts: RingCounts::default(),
        }
    }

    /// Whose ring it is.
    pub(super) fn worker(&self) -> u8 {
        self.worker
    }

    /// Gives it room, once: from now on it keeps what is put into it.
    pub(super) fn open(&self, room: Slots) {
        debug_assert!(self.room.get().is_none(), "a ring has one room");
        self.room.get_or_init(|| room);
    }

    /// Slots given to records so far.
    pub(super) fn head(&self) -> u64 {
        self.head.0.load(Ordering::Acquire)
    }

    /// How full it is, 0 to 1; one without room is full.
    pub(super) fn fill(&self) -> f64 {
        let Some(room) = self.room.get() else {
            return 1.0;
        };
        let freed = self.freed.0.load(Ordering::Acquire);
        let used = self.head().saturating_sub(freed).min(room.count);
        // Slots are u32 in the file's header.
        let number = |slots: u64| u32::try_from(slots).map_or(f64::MAX, f64::from);
        number(used) / number(room.count)
    }

    /// Last slot whose record survives a power cut.
    pub(super) fn synced(&self) -> u64 {
        self.synced.0.load(Ordering::Acquire)
    }

    /// Notes that everything up to slot `n` survives a power cut.
    pub(super) fn set_synced(&self, n: u64) {
        self.synced.0.store(n, Ordering::Release);
    }

    /// Appends to `to` the records after slot `from`, sealed as they are, until `bytes_max` is
    /// reached; returns the last slot taken and the records that did not validate.
    pub(super) fn copy(&self, from: u64, to: &mut Vec<u8>, bytes_max: usize) -> (u64, u64) {
        let Some(room) = self.room.get() else {
            return (from, 0);
        };
        let head = self.head();
        let (mut taken, mut torn) = (from, 0);
        while taken < head && to.len() < bytes_max {
            let start = to.len();
            room.copy_slot(taken + 1, to);
            let claimed = to.get(start..).and_then(frame::length);
            let slots = claimed.map_or(1, slots_of);
            for n in 1..slots {
                room.copy_slot(taken + 1 + n, to);
            }
            let valid = to
                .get(start..)
                .and_then(|record| frame::check(room.life, record));
            // Only memory that lost a bit gets here: what is before the head was stored whole.
            let kept = valid.map_or(0, |head| head.length);
            torn += u64::from(valid.is_none());
            to.truncate(start + kept);
            taken += if valid.is_some() { slots } else { 1 };
        }
        (taken, torn)
    }

    /// Wipes the slots after `from` up to `to`, which are in the log by now, and gives them back.
    /// Addresses must not outlive the log, and an idle ring would keep them. From the back, so
    /// that the origin of a record that is half wiped when the process dies can still be read.
    pub(super) fn free(&self, from: u64, to: u64) {
        let Some(room) = self.room.get() else {
            return;
        };
        for n in (from + 1..=to).rev() {
            for word in room.slot(n).iter().rev() {
                word.store(0, Ordering::Relaxed);
            }
        }
        self.freed.0.store(to, Ordering::Release);
    }
}

/// Slots that a record of `bytes` takes.
pub(super) fn slots_of(bytes: usize) -> u64 {
    bytes.div_ceil(SLOT_BYTES) as u64
}

/// The one that puts records into a ring.
#[derive(Debug)]
pub(super) struct Producer {
    ring: Arc<Ring>,
    /// Slots given to records so far.
    head: u64,
    /// What was last seen of the drainer's count.
    freed: u64,
}

impl Producer {
    /// The producer of a ring that has none.
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        let head = ring.head();
        let freed = ring.freed.0.load(Ordering::Acquire);
        Self { ring, head, freed }
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Keeps a record; afterwards it survives the process. Returns its last slot.
    pub(super) fn put(&mut self, record: &mut [u8]) -> Result<u64, Reason> {
        let room = self.ring.room.get().ok_or(Reason::RingFull)?;
        let last = self.head + slots_of(record.len());
        if last > self.freed + room.count {
            self.freed = self.ring.freed.0.load(Ordering::Acquire);
            if last > self.freed + room.count {
                return Err(Reason::RingFull);
            }
        }
        let origin = Origin {
            worker: self.ring.worker,
            slot: self.head + 1,
        };
        frame::seal_for_ring(record, room.life, origin);
        for (n, bytes) in (self.head + 1..).zip(record.chunks(SLOT_BYTES)) {
            let words = room.slot(n).iter();
            for (word, bytes) in words.zip(bytes.chunks_exact(WORD_BYTES)) {
                let bytes = bytes.first_chunk().copied().unwrap_or_default();
                word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            }
        }
        // Release: the drainer sees the words before the count, and the compiler may not move
        // them past it. A process that is killed here leaves them in order all the same.
        self.head = last;
        self.ring.head.0.store(last, Ordering::Release);
        Ok(last)
    }
}
