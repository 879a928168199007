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
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};

/// Smallest page of the machines we run on: one store in each faults all of them in.
const PAGE_BYTES: usize = 4_096;
const WORD_BYTES: usize = size_of::<AtomicU64>();

/// A whole file as words in memory.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapRaw,
    /// Open as long as the mapping: where it is locked, that says that it is in use.
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
        let mapped = Self { map, _file: file };
        let _watched = mender();
        // A first write to each page goes through the file system; let it be now. What is refused
        // now is no ring.
        match mapped.map.advise(Advice::PopulateWrite) {
            Ok(()) => Ok(mapped),
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Err(refused()),
            // Older kernels have no such advice.
            Err(_) => mapped.touched(),
        }
    }

    fn touched(self) -> io::Result<Self> {
        let lost = pages_lost();
        for page in self.words().chunks(PAGE_BYTES / WORD_BYTES) {
            if let Some(word) = page.first() {
                word.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        if pages_lost() > lost {
            return Err(refused());
        }
        Ok(self)
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

fn refused() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

/// Pages that no longer outlive the process, since the start.
pub(super) fn pages_lost() -> u64 {
    PAGES_LOST.load(Ordering::Relaxed)
}

static PAGES_LOST: AtomicU64 = AtomicU64::new(0);
/// `None` where this system has not what it needs: then a fault is the end, as ever.
static MENDER: OnceLock<Option<Mender>> = OnceLock::new();

/// What the handler needs, made ahead: it may not allocate, lock or panic.
struct Mender {
    page_bytes: usize,
    /// Two pages of memory that is a file, too: to copy a page through, since the kernel then says
    /// that it cannot be read, where a load would fault once more.
    through: File,
    copies: MmapRaw,
    /// One thread mends at a time.
    busy: AtomicBool,
    /// What the signal did before.
    before: libc::sigaction,
}

/// Has faults mended from now on, in every mapping of the process.
fn mender() -> Option<&'static Mender> {
    let made = MENDER.get_or_init(|| {
        let made = Mender::new();
        if let Err(error) = &made {
            tracing::warn!(%error, "journal: a page that is refused will be the process's end");
        }
        made.ok()
    });
    made.as_ref()
}

impl Mender {
    fn new() -> io::Result<Self> {
        // SAFETY: a name that ends in zero, and a flag.
        let through = unsafe { libc::memfd_create(c"mend".as_ptr(), libc::MFD_CLOEXEC) };
        if through < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and nobody else's.
        let through = unsafe { File::from_raw_fd(through) };
        // SAFETY: asks for a number.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page_bytes = usize::try_from(page_bytes).unwrap_or(PAGE_BYTES);
        through.set_len(2 * page_bytes as u64)?;
        let copies = MmapOptions::new().len(2 * page_bytes).map_raw(&through)?;
        // SAFETY: all zeros are a valid `sigaction`: the default action.
        let (mut action, mut before): (libc::sigaction, libc::sigaction) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let handler: extern "C" fn(libc::c_int, *const libc::siginfo_t, *const libc::c_void) =
            on_fault;
        action.sa_sigaction = (handler as *const ()).expose_provenance();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler has the form that SA_SIGINFO asks for and calls nothing that a
        // handler may not call; until this is in `MENDER` it only returns, to be called again.
        if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            page_bytes,
            through,
            copies,
            busy: AtomicBool::new(false),
            before,
        })
    }

    /// Puts a private copy in place of the page at `address`; whether the page may be used now.
    fn mend(&self, address: usize) -> bool {
        let page = address & !(self.page_bytes - 1);
        while self.busy.swap(true, Ordering::Acquire) {
            // SAFETY: only asks for another turn. Whoever mends may be waiting for the disk.
            unsafe { libc::sched_yield() };
        }
        let page = std::ptr::with_exposed_provenance_mut(page);
        let mended = self.is_writable(page) || self.replace(page);
        self.busy.store(false, Ordering::Release);
        mended
    }

    /// Whether another thread mended it, or the file system takes it by now.
    fn is_writable(&self, page: *mut libc::c_void) -> bool {
        // SAFETY: changes no byte, and says so where there is no such page.
        let populated = unsafe { libc::madvise(page, self.page_bytes, libc::MADV_POPULATE_WRITE) };
        populated == 0
    }

    fn replace(&self, page: *mut libc::c_void) -> bool {
        let bytes = self.page_bytes;
        // SAFETY: a second view of the same page, wherever there is room: only of one that is
        // shared, so neither code nor what is private already can be meant.
        let alias = unsafe { libc::mremap(page, 0, bytes, libc::MREMAP_MAYMOVE) };
        if alias == libc::MAP_FAILED {
            return false;
        }
        let replaced = self.copy(alias, 0) && self.swap(page) && self.copy(alias, 1);
        if replaced {
            self.carry_over(page);
            PAGES_LOST.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the view that was just made, and that nobody else knows.
        let unmapped = unsafe { libc::munmap(alias, bytes) };
        debug_assert_eq!(unmapped, 0, "what was mapped can be unmapped");
        replaced
    }

    /// Copies a page into place `n` of `copies`.
    fn copy(&self, page: *const libc::c_void, n: usize) -> bool {
        let (fd, at) = (self.through.as_raw_fd(), n * self.page_bytes);
        let Ok(at) = libc::off_t::try_from(at) else {
            return false;
        };
        // SAFETY: the kernel reads from `page`, and says so if it cannot.
        let copied = unsafe { libc::pwrite(fd, page, self.page_bytes, at) };
        copied == self.page_bytes.cast_signed()
    }

    /// Puts memory with what `copies` begins with in place of `page`, at once.
    fn swap(&self, page: *mut libc::c_void) -> bool {
        let (bytes, fd) = (self.page_bytes, self.through.as_raw_fd());
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping wherever there is room.
        let new = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
        if new == libc::MAP_FAILED {
            return false;
        }
        // SAFETY: `new` is a page of ours that nobody else knows.
        let filled = unsafe { libc::pread(fd, new, bytes, 0) } == bytes.cast_signed();
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: whoever looks at `page`, which is mapped, sees the old one or, at once, the new
        // one with the same bytes.
        filled && unsafe { libc::mremap(new, bytes, bytes, flags, page) } != libc::MAP_FAILED
    }

    /// Carries over what other threads could store between the copy and the swap, because the
    /// file system took it after all.
    fn carry_over(&self, page: *mut libc::c_void) {
        let words = self.page_bytes / WORD_BYTES;
        // SAFETY: as in `Mapped::words`; `copies` is two pages long and lives as long as `self`.
        let copies = unsafe {
            std::slice::from_raw_parts(self.copies.as_mut_ptr().cast::<AtomicU64>(), 2 * words)
        };
        // SAFETY: the page was just mapped for reading and writing.
        let page = unsafe { std::slice::from_raw_parts(page.cast::<AtomicU64>(), words) };
        let (before, after) = copies.split_at(words.min(copies.len()));
        for ((word, before), after) in page.iter().zip(before).zip(after) {
            let (before, after) = (
                before.load(Ordering::Relaxed),
                after.load(Ordering::Relaxed),
            );
            if before != after {
                // A store that came since is the later one.
                let _carried =
                    word.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }
}

extern "C" fn on_fault(_: libc::c_int, about: *const libc::siginfo_t, _: *const libc::c_void) {
    let Some(Some(mender)) = MENDER.get() else {
        return;
    };
    // SAFETY: the kernel passes a siginfo.
    let about = unsafe { &*about };
    // SAFETY: the thread's own errno, which whatever was interrupted must find as it was.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let was = unsafe { *errno };
    // SAFETY: that of SIGBUS has an address.
    let address = unsafe { about.si_addr() }.addr();
    // Not where memory itself is broken, or an address.
    if about.si_code != libc::BUS_ADRERR || !mender.mend(address) {
        // SAFETY: the action that was there, for the fault that comes again ...
        unsafe { libc::sigaction(libc::SIGBUS, &raw const mender.before, std::ptr::null_mut()) };
        if about.si_code <= 0 {
            // SAFETY: ... but for one that somebody sent.
            unsafe { libc::raise(libc::SIGBUS) };
        }
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
        let mender = mender().unwrap();
        let page = mender.page_bytes;
        file.set_len(3 * page as u64).unwrap();
        let mapped = Mapped::new(file.try_clone().unwrap(), 3 * page).unwrap();
        let lost = pages_lost();
        let words = mapped.words();
        for (n, word) in (1..).zip(words) {
            word.store(n, Ordering::Relaxed);
        }
        let middle = words[page / 8..].as_ptr().cast_mut().cast();
        assert!(mender.replace(middle));
        // Threads that had faulted on it as well find it mended.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let address = middle.expose_provenance() + 8;
                scope.spawn(move || assert!(mender.mend(address)));
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

    #[test]
    fn a_store_that_the_file_system_took_while_a_page_was_mended_is_not_lost() {
        let mender = mender().unwrap();
        let page = mender.page_bytes;
        let file = tempfile::tempfile().unwrap();
        file.set_len(page as u64).unwrap();
        let mapped = Mapped::new(file.try_clone().unwrap(), page).unwrap();
        let alias = Mapped::new(file, page).unwrap();
        let (words, address) = (mapped.words(), mapped.map.as_mut_ptr().cast());
        assert!(mender.copy(address, 0));
        words[1].store(1, Ordering::Relaxed);
        words[2].store(2, Ordering::Relaxed);
        assert!(mender.swap(address));
        assert_eq!(words[1].load(Ordering::Relaxed), 0);
        words[2].store(3, Ordering::Relaxed);
        assert!(mender.copy(alias.map.as_mut_ptr().cast(), 1));
        mender.carry_over(address);
        let seen: Vec<_> = words[..4]
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect();
        assert_eq!(seen, [0, 1, 3, 0]);
    }
}
