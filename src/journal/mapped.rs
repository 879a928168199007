//! Memory that outlives the process: a file mapped shared, seen as atomic words.
//!
//! What a thread has stored here before it is killed is in the kernel's page cache, and in the
//! file for whoever opens it next. The only file of the program with `unsafe`.

#![expect(
    unsafe_code,
    reason = "a mapping is a pointer; the argument stands at its one use"
)]

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// Smallest page of the machines we run on: one store in each faults all of them in.
const PAGE_BYTES: usize = 4_096;
const WORD_BYTES: usize = size_of::<AtomicU64>();

/// A whole file as words in memory.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapRaw,
}

impl Mapped {
    /// Maps the first `bytes` of `file`, which must be that long and stay so.
    pub(super) fn new(file: &File, bytes: usize) -> io::Result<Self> {
        if file.metadata()?.len() < bytes as u64 {
            // Touching what lies behind the end of a file raises SIGBUS.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let map = MmapOptions::new().len(bytes).map_raw(file)?;
        let mapped = Self { map };
        // A first write to each page goes through the file system; let it be now.
        for page in mapped.words().chunks(PAGE_BYTES / WORD_BYTES) {
            if let Some(word) = page.first() {
                word.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        Ok(mapped)
    }

    /// The file's words, in the byte order of this machine.
    pub(super) fn words(&self) -> &[AtomicU64] {
        let words = self.map.len() / WORD_BYTES;
        // SAFETY: the mapping begins on a page boundary, so words are aligned; it is `len` bytes
        // long and stays mapped as long as `self`, which the returned slice borrows. Any bytes
        // are a valid AtomicU64. This process reaches the mapping through these atomics only,
        // never through a plain reference, so stores from several threads are no data race;
        // other processes keep out by the lock on the data directory, and were one to write all
        // the same, atomics would read other values, which the records' sums tell apart. Were
        // somebody to truncate the file, the process would end with SIGBUS: no memory of ours is
        // touched.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_in_the_file_and_seen_by_every_thread() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * 4_096).unwrap();
        let mapped = Mapped::new(&file, 3 * 4_096).unwrap();
        assert_eq!(mapped.words().len(), 3 * 512);
        std::thread::scope(|scope| {
            for part in mapped.words().chunks(512) {
                scope.spawn(move || {
                    for (n, word) in (1..).zip(part) {
                        word.store(n, Ordering::Release);
                    }
                });
            }
        });
        let again = Mapped::new(&file, 3 * 4_096).unwrap();
        let sum: u64 = again
            .words()
            .iter()
            .map(|w| w.load(Ordering::Acquire))
            .sum();
        assert_eq!(sum, 3 * 512 * 513 / 2);
        drop(mapped);
        use std::os::unix::fs::FileExt;
        let mut last = [0; 8];
        file.read_exact_at(&mut last, 3 * 4_096 - 8).unwrap();
        assert_eq!(u64::from_ne_bytes(last), 512);
    }

    #[test]
    fn a_file_that_is_too_short_is_refused_rather_than_touched() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4_095).unwrap();
        assert!(Mapped::new(&file, 4_096).is_err());
    }
}
