//! Rings on another file system than the journal's.
//!
//! On a tmpfs a store into a ring never asks a disk, so a file system that is frozen, or that
//! cannot take a page back, holds up no reader. The price: a tmpfs dies with its machine or
//! container, and what was not drained with it.
//!
//! `rings` in the journal's directory is then a symbolic link to the file. So whoever starts next
//! finds what a crash left there, whatever the configuration says by then.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use super::disk::Memory;
use super::mapped::Mapped;

/// The file that `link` stands for, if it is a link.
pub(super) fn target(link: &Path) -> Option<PathBuf> {
    fs::read_link(link).ok()
}

/// Whether a living process has the rings mapped: those of a directory that `link` was copied
/// from.
pub(super) fn in_use(target: &Path) -> bool {
    let locked = File::open(target).map(|file| file.try_lock_shared());
    matches!(locked, Ok(Err(TryLockError::WouldBlock)))
}

/// Makes and maps a file of `bytes` in `directory`, which is made if it is missing.
pub(super) fn make(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<(PathBuf, Memory)> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // A link's target is taken from where the link lies.
    let path = std::path::absolute(directory)?.join(name);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    if !is_ours(directory, &file)? {
        remove(&path);
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others may write there, and could put rings of theirs in place of ours",
        ));
    }
    // Written out: a store into a page that a full tmpfs does not have raises SIGBUS.
    let mapped = file.write_all_at(bytes, 0).and_then(|()| {
        file.try_lock()?;
        Mapped::new(file, bytes.len())
    });
    match mapped {
        Ok(mapped) => Ok((path, Memory::Mapped(mapped))),
        Err(error) => {
            // Attempts must not fill up a tmpfs.
            remove(&path);
            Err(error)
        }
    }
}

/// Whether nobody but us may put another file in place of `file`, which we made there.
fn is_ours(directory: &Path, file: &File) -> io::Result<bool> {
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let (about, us) = (fs::metadata(directory)?, file.metadata()?.uid());
    let alone = about.mode() & OTHERS_WRITE == 0 || about.mode() & STICKY != 0;
    Ok(alone && [us, 0].contains(&about.uid()))
}

/// Deletes rings that starts of this edge left behind when they were cut off, but not `kept`.
pub(super) fn sweep(directory: &Path, prefix: &str, kept: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let left = name.is_some_and(|name| name.starts_with(prefix) && name.ends_with(".rings"));
        if left && path != kept && !in_use(&path) {
            remove(&path);
        }
    }
}

/// Makes `link` stand for a file, in place of whatever has its name.
pub(super) fn point(link: &Path, to: &Path) -> io::Result<()> {
    let beside = link.with_extension("link");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(to, &beside)?;
    fs::rename(beside, link)
}

/// Deletes a file of rings that nothing stands for any more.
pub(super) fn remove(target: &Path) {
    match fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let path = target.display();
            tracing::warn!(%error, %path, "journal: rings of an earlier life cannot be deleted");
        }
        _ => {}
    }
}
