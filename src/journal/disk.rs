//! What the journal needs of a file system, so that tests can put a treacherous one beneath it.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::domain::time::Micros;

use super::mapped::Mapped;

/// One directory.
pub(super) trait Disk: Debug + Send + Sync {
    /// Names of the files in it.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes a file, or empties the one that has the name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to be read and synced.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, in place of whichever has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and deletions survive a power cut.
    fn sync_directory(&self) -> io::Result<()>;
    /// The first `bytes` of a file as memory that outlives the process.
    fn map(&self, name: &str, bytes: usize) -> io::Result<Memory>;
    /// How a file is named to people.
    fn path(&self, name: &str) -> PathBuf;
}

/// One file.
pub(super) trait DiskFile: Debug + Send + Sync {
    /// Bytes in it.
    fn length(&self) -> io::Result<u64>;
    /// When it was last written.
    fn modified(&self) -> io::Result<Micros>;
    /// Reads what is there, at most as much as fits.
    fn read_at(&self, to: &mut [u8], from: u64) -> io::Result<usize>;
    /// Writes all of it.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes its bytes and its length survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// Words that outlive the process.
#[derive(Debug)]
pub(super) enum Memory {
    /// A mapped file.
    Mapped(Mapped),
    /// What a test looks at after the process has "died".
    #[cfg(test)]
    Heap(Arc<[AtomicU64]>),
}

impl Memory {
    pub(super) fn words(&self) -> &[AtomicU64] {
        match self {
            Self::Mapped(mapped) => mapped.words(),
            #[cfg(test)]
            Self::Heap(words) => words,
        }
    }
}

/// A directory of the real file system.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens a directory, made if it is missing.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        Ok(Self::existing(path))
    }

    /// A directory that is there already, to be read.
    pub(super) fn existing(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

impl Disk for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn map(&self, name: &str, bytes: usize) -> io::Result<Memory> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path.join(name))?;
        Ok(Memory::Mapped(Mapped::new(file, bytes)?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn modified(&self) -> io::Result<Micros> {
        let since = self.metadata()?.modified()?;
        let since = since.duration_since(std::time::UNIX_EPOCH);
        let micros = since.map_or(0, |since| since.as_micros());
        Ok(Micros::new(i64::try_from(micros).unwrap_or(i64::MAX)))
    }

    fn read_at(&self, to: &mut [u8], from: u64) -> io::Result<usize> {
        FileExt::read_at(self, to, from)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What a disk loses at once.
pub(super) const SECTOR: u64 = 4_096;

/// All that a file holds.
pub(super) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    read_whole(file, |_, _, error| Err(error))
}

/// All that a file holds; where a sector cannot be read its bytes are all ones, which no record
/// is: it costs what stood on it and no more.
pub(super) fn read_all_past_errors(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    read_whole(file, |room, from, _| {
        let sector = usize::try_from(SECTOR - from % SECTOR).unwrap_or(room.len());
        let sector = sector.min(room.len());
        let room = room.get_mut(..sector).unwrap_or_default();
        Ok(file.read_at(room, from).unwrap_or_else(|error| {
            tracing::error!(%error, from, "journal: a sector cannot be read");
            room.fill(u8::MAX);
            room.len()
        }))
    })
}

fn read_whole(
    file: &dyn DiskFile,
    after_error: impl Fn(&mut [u8], u64, io::Error) -> io::Result<usize>,
) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
    let mut at = 0;
    while let Some(room) = bytes.get_mut(at..).filter(|room| !room.is_empty()) {
        let read = match file.read_at(room, at as u64) {
            Err(error) => after_error(room, at as u64, error)?,
            Ok(read) => read,
        };
        if read == 0 {
            break;
        }
        at += read;
    }
    bytes.truncate(at);
    Ok(bytes)
}
