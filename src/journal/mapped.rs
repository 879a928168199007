//! Memory that outlives the process: a file mapped shared, seen as atomic words.
//!
//! What a thread has stored here before it is killed is in the kernel's page cache, and in the
//! file for whoever opens it next. The only file of the program with `unsafe`.
//!
//! **A page that the file system refuses.** A store into a page that was written back asks the
//! file system, and a full btrfs or an XFS that has shut down answers with SIGBUS, which would be
//! the end of the process: here, and in SQLite's shared memory too. So the signal's handler puts a
//! private copy of the page in its place, whosever it is. From then on that page is memory of this
//! process alone: what is stored there outlives it no longer, and [`pages_lost`] counts it; but
//! the reader gets an answer.

#![expect(
    unsafe_code,
    reason = "a mapping is a pointer, and a fault in it a signal; the arguments stand at each use"
)]

use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// Smallest page of the machines we run on: one store in each faults all of them in.
const PAGE_BYTES: usize = 4_096;
const WORD_BYTES: usize = size_of::<AtomicU64>();

/// A whole file as words in memory.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapRaw,
    /// Open as long as the mapping: its lock says that the file is in use.
    _file: File,
}

impl Mapped {
    /// Maps the first `bytes` of `file`, which must be that long and stay so.
    pub(super) fn new(file: File, bytes: usize) -> io::Result<Self> {
        if file.metadata()?.len() < bytes as u64 {
            // Touching what lies behind the end of a file raises SIGBUS.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        install()?;
        let mapped = Self { map, _file: file };
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
        // the same, atomics would read other values, which the records' sums tell apart. A page
        // that the handler below puts in place holds the same words, or zeros.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), words) }
    }
}

/// Pages that no longer outlive the process, since the start.
pub(super) fn pages_lost() -> u64 {
    PAGES_LOST.load(Ordering::Relaxed)
}

static PAGES_LOST: AtomicU64 = AtomicU64::new(0);
static MENDER: OnceLock<Mender> = OnceLock::new();

/// Pages that can be mended in the life of a process; beyond, a fault is its end as ever.
const MENDED_MAX: usize = 4_096;
/// Faults on a page that was mended before, after which it is another page at the same address.
/// Threads that had faulted before it was mended must not be taken for this.
const FAULTS_MAX: u16 = 1_000;

/// What the handler needs, made ahead: it may not allocate, lock or panic.
struct Mender {
    page_bytes: usize,
    /// A file in memory to copy a page through: the kernel then says that a page cannot be read,
    /// where a load would fault once more.
    through: libc::c_int,
    /// One thread mends at a time.
    busy: AtomicBool,
    /// Addresses of the pages that were mended, and how often they faulted since.
    mended: Box<[(AtomicUsize, AtomicU16)]>,
    /// What the signal did before.
    before: libc::sigaction,
}

impl Mender {
    fn new(before: libc::sigaction) -> io::Result<Self> {
        // SAFETY: a name that ends in zero, and a flag.
        let through = unsafe { libc::memfd_create(c"mend".as_ptr(), libc::MFD_CLOEXEC) };
        // SAFETY: asks for a number.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        if through < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            page_bytes: usize::try_from(page_bytes).unwrap_or(PAGE_BYTES),
            through,
            busy: AtomicBool::new(false),
            mended: (0..MENDED_MAX).map(|_| Default::default()).collect(),
            before,
        })
    }

    /// Puts a private copy in place of the page at `address`; whether it could.
    fn mend(&self, address: usize) -> bool {
        let page = address & !(self.page_bytes - 1);
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        let known = self.mended.iter().find(|(known, _)| {
            let known = known.load(Ordering::Relaxed);
            known == page || known == 0
        });
        let mended = known.is_some_and(|(known, faults)| {
            let seen = known.swap(page, Ordering::Relaxed) == page;
            if seen && faults.fetch_add(1, Ordering::Relaxed) < FAULTS_MAX {
                return true;
            }
            faults.store(0, Ordering::Relaxed);
            self.replace(page)
        });
        self.busy.store(false, Ordering::Release);
        mended
    }

    fn replace(&self, page: usize) -> bool {
        let (bytes, through) = (self.page_bytes, self.through);
        let page: *mut libc::c_void = std::ptr::with_exposed_provenance_mut(page);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel reads from `page` and says so if it cannot.
        if unsafe { libc::pwrite(through, page, bytes, 0) } != bytes.cast_signed() {
            return false;
        }
        // SAFETY: a new mapping wherever there is room.
        let copy = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
        if copy == libc::MAP_FAILED {
            return false;
        }
        // SAFETY: `copy` is a page of ours that nobody else knows.
        if unsafe { libc::pread(through, copy, bytes, 0) } != bytes.cast_signed() {
            return false;
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: `page` is mapped for writing, since a store there got SIGBUS and not SIGSEGV;
        // whoever looks at it sees the old page or, at once, the new one with the same bytes. A
        // store by another thread in between faults as this one did, and waits for us.
        let moved = unsafe { libc::mremap(copy, bytes, bytes, flags, page) };
        if moved == libc::MAP_FAILED {
            return false;
        }
        PAGES_LOST.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// Installs the handler, once.
fn install() -> io::Result<()> {
    if MENDER.get().is_some() {
        return Ok(());
    }
    // SAFETY: all zeros are a valid `sigaction`: the default action.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `before` lives through the call.
    if unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if MENDER.set(Mender::new(before)?).is_err() {
        // Another thread was faster.
        return Ok(());
    }
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *const libc::siginfo_t, *const libc::c_void) = on_fault;
    action.sa_sigaction = (handler as *const ()).expose_provenance();
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the form that SA_SIGINFO asks for, and calls nothing that a handler
    // may not call.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn on_fault(_: libc::c_int, about: *const libc::siginfo_t, _: *const libc::c_void) {
    let Some(mender) = MENDER.get() else { return };
    // SAFETY: the kernel passes a siginfo.
    let about = unsafe { &*about };
    // SAFETY: that of SIGBUS has an address.
    let address = unsafe { about.si_addr() }.addr();
    // SAFETY: the thread's own errno, which whatever was interrupted must find as it was.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let was = unsafe { *errno };
    // Not where memory itself is broken, or an address.
    if about.si_code != libc::BUS_ADRERR || !mender.mend(address) {
        // As before us, when the thread faults again.
        // SAFETY: the action that was there.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const mender.before, std::ptr::null_mut()) };
    }
    // SAFETY: as above.
    unsafe { *errno = was };
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_stored_is_in_the_file_and_seen_by_every_thread() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * 4_096).unwrap();
        let mapped = Mapped::new(file.try_clone().unwrap(), 3 * 4_096).unwrap();
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
        let again = Mapped::new(file.try_clone().unwrap(), 3 * 4_096).unwrap();
        let words = again.words().iter();
        let sum: u64 = words.map(|word| word.load(Ordering::Acquire)).sum();
        assert_eq!(sum, 3 * 512 * 513 / 2);
        drop(mapped);
        let mut last = [0; 8];
        file.read_exact_at(&mut last, 3 * 4_096 - 8).unwrap();
        assert_eq!(u64::from_ne_bytes(last), 512);
    }

    #[test]
    fn a_file_that_is_too_short_is_refused_rather_than_touched() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4_095).unwrap();
        assert!(Mapped::new(file, 4_096).is_err());
    }

    #[test]
    fn a_page_that_is_mended_keeps_its_words_and_leaves_its_file() {
        let file = tempfile::tempfile().unwrap();
        let page = MENDER.get().map_or(PAGE_BYTES, |mender| mender.page_bytes);
        file.set_len(3 * page as u64).unwrap();
        let mapped = Mapped::new(file.try_clone().unwrap(), 3 * page).unwrap();
        let (mender, lost) = (MENDER.get().unwrap(), pages_lost());
        let words = mapped.words();
        for (n, word) in (1..).zip(words) {
            word.store(n, Ordering::Relaxed);
        }
        let middle = words.as_ptr().addr() + page + 8;
        // Threads that fault on one page at once come one after the other.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(mender.mend(middle)));
            }
        });
        assert_eq!(pages_lost() - lost, 1);
        for (n, word) in (1..).zip(words) {
            assert_eq!(word.fetch_add(1_000_000, Ordering::Relaxed), n);
        }
        let mut bytes = vec![0; 3 * page];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let in_file = bytes
            .chunks_exact(8)
            .map(|b| u64::from_ne_bytes(*b.first_chunk().unwrap()));
        for (n, (word, in_file)) in (1..).zip(words.iter().zip(in_file)) {
            assert_eq!(word.load(Ordering::Relaxed), 1_000_000 + n);
            let private = (page / 8 + 1..=2 * page / 8).contains(&usize::try_from(n).unwrap());
            assert_eq!(in_file, if private { n } else { 1_000_000 + n });
        }
    }
}
