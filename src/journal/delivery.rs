//! How a delivery event is kept: its body in the spool, then its record and what was read out of
//! it in the log, each synced before the event is answered.

use std::sync::Arc;

use crate::domain::time::Micros;

use super::{Accepted, Journal, JournalError, Received, Source, frame, spool_file};

/// Room for one body among those that wait for the disk; free again when this is dropped.
#[derive(Debug)]
pub struct Room {
    journal: Arc<Journal>,
    bytes: usize,
}

impl Room {
    /// Keeps a body in the spool; afterwards it survives a power cut. Waits for the disk, so call
    /// it on a thread that may.
    ///
    /// # Errors
    /// It may not have been kept: answer 503, and let the sender try again.
    pub fn spool(self, source: &Source, at: Micros, body: &[u8]) -> Result<Received, JournalError> {
        let Journal { spool, counts, .. } = &*self.journal;
        spool.keep(source, at, body, counts)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.journal.spool.give_back(self.bytes);
    }
}

impl Journal {
    /// Room for a body of so many bytes. Ask before a thread is asked for: what waits for a thread
    /// takes memory too.
    ///
    /// # Errors
    /// Too much waits already, or the disk hangs: answer 503.
    pub fn spool_room(self: &Arc<Self>, bytes: usize) -> Result<Room, JournalError> {
        if !self.has_begun() {
            // Its record could not be kept, and it would take the room that a beginning needs.
            return Err(JournalError::NotSynced);
        }
        let bytes = self.spool.reserve(bytes).ok_or(JournalError::NotSynced)?;
        Ok(Room {
            journal: Arc::clone(self),
            bytes,
        })
    }

    /// Keeps the record of a body that is in the spool, and the acceptances that were read out of
    /// it; afterwards they survive a power cut.
    ///
    /// # Errors
    /// They may not have been kept: answer 503, and let the sender try again.
    pub async fn append_delivery(
        &self,
        received: &Received,
        all: &[Accepted],
    ) -> Result<(), JournalError> {
        let mut records = Vec::new();
        frame::write_received(&mut records, received);
        for one in all {
            frame::write_accepted(&mut records, one);
        }
        self.append_synced(&records).await
    }

    /// The body of a delivery event, as it came; `None` once it has expired.
    ///
    /// # Errors
    /// It cannot be read, or is not what came.
    pub fn body_of(&self, received: &Received) -> Result<Option<Vec<u8>>, JournalError> {
        spool_file::body(&*self.segments.disk, received)
    }
}
