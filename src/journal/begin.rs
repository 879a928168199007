//! How a journal begins: at once, or when the disk lets it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;

use super::disk::{Directory, Disk};
use super::ring::{Producer, Ring};
use super::segment::{self, Segments};
use super::stall::Stall;
use super::{
    Journal, JournalCounts, JournalError, JournalOptions, State, Synced, elsewhere, keeper, lane,
    recovery, rings, spool, writer,
};

impl Journal {
    /// Opens or creates the journal in `directory`, which must be locked by the caller.
    ///
    /// # Errors
    /// The directory cannot be used, or holds something newer.
    pub fn open(directory: &Path, options: JournalOptions) -> Result<Arc<Self>, JournalError> {
        let disk = Directory::open(directory).map_err(JournalError::io(directory))?;
        Self::open_on(Arc::new(disk), options)
    }

    /// The same, but a disk that is full, can only be read or answers with errors is no reason
    /// not to start: hits are dropped and counted until the drainer finds that it takes records.
    ///
    /// # Errors
    /// The directory cannot be used for another reason, was never used, or holds something newer.
    pub fn open_or_wait(
        directory: &Path,
        options: JournalOptions,
    ) -> Result<Arc<Self>, JournalError> {
        let disk = Directory::open(directory).map_err(JournalError::io(directory))?;
        let journal = Self::closed(Arc::new(disk), options)?;
        if let Err(error) = journal.begin() {
            let reason = error.of_disk().ok_or(error)?;
            tracing::error!(
                reason = reason.name(),
                "journal: cannot begin; hits are answered and not kept until the disk takes them"
            );
            journal.drain_state.set(Some(reason));
        }
        Ok(journal)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
    ) -> Result<Arc<Self>, JournalError> {
        let journal = Self::closed(disk, options)?;
        journal.begin()?;
        Ok(journal)
    }

    /// One that keeps nothing yet.
    pub(super) fn closed(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
    ) -> Result<Arc<Self>, JournalError> {
        let segments = Segments {
            edge: segment::edge(&*disk)?,
            disk,
            life: OnceLock::new(),
        };
        let rings: Vec<_> = (0..options.rings).map(Ring::new).map(Arc::new).collect();
        let (synced, _) = watch::channel(Synced::default());
        Ok(Arc::new(Self {
            writer: writer::Writer::new(&options),
            producers: Mutex::new(rings.iter().cloned().map(Producer::new).collect()),
            rings,
            spool: spool::Spool::new(Arc::clone(&segments.disk), &options),
            options,
            segments,
            lane: lane::Lane::default(),
            synced,
            texts: keeper::TextBudget::default(),
            counts: JournalCounts::default(),
            drain_state: State::default(),
            sync_state: State::default(),
            draining: Stall::default(),
            syncing: Stall::default(),
        }))
    }

    /// Recovers what a crash left, then begins the log and opens the rings: from here on hits are
    /// kept. After an error nothing has begun; try again.
    pub(super) fn begin(&self) -> Result<(), JournalError> {
        let Self {
            segments, options, ..
        } = self;
        let disk = &*segments.disk;
        let elsewhere = elsewhere::target(&disk.path(rings::NAME));
        if let Some(path) = elsewhere.filter(|target| elsewhere::in_use(target)) {
            return Err(JournalError::InUse { path });
        }
        let found = JournalCounts::default();
        let left = rings::Left::read_or_set_aside(disk)?;
        let last = recovery::recover(segments, left.as_ref(), self.writer.last(), &found)?;
        // The log has these now; what is damaged is found again by the next attempt.
        let recovered = found.recovered.load(Ordering::Relaxed);
        self.counts
            .recovered
            .fetch_add(recovered, Ordering::Relaxed);
        let directory = options.ring_directory.as_deref();
        let size = (options.rings, options.ring_slots);
        let (life, made) = rings::create(disk, directory, segments.edge, size)?;
        let segments = segments.of_life(life);
        let first = segments.create(last + 1, &vec![0; made.len()], |_| Vec::new())?;
        self.counts.add_damage(&found);
        self.synced.send_modify(|synced| synced.sequence = last);
        self.writer.begin(first, last + 1, made.len());
        self.segments.life.get_or_init(|| life);
        for (ring, slots) in self.rings.iter().zip(made) {
            ring.open(slots);
        }
        Ok(())
    }

    /// Whether hits are kept: the disk took what a start needs.
    pub(super) fn has_begun(&self) -> bool {
        self.segments.life.get().is_some()
    }
}
