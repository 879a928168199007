//! Segments: their names, their 64-byte header, the edge file, and when they may go.
//!
//! | at | bytes | segment header |
//! |---|---|---|
//! | 0 | 8 | `CUPELJNL` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | epoch: random, seeds the CRC of every record |
//! | 16 | 4 | edge |
//! | 20 | 8 | first sequence |
//! | 28 | 4 | CRC32C of the bytes before |
//! | 32 | 32 | zero |

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::domain::record::take;
use crate::domain::time::Micros;

use super::{EdgeId, JournalError, JournalOptions};

/// Bytes of the header.
pub(super) const HEADER_BYTES: u64 = 64;
const MAGIC: &[u8; 8] = b"CUPELJNL";
const VERSION: u32 = 1;
const EXTENSION: &str = "journal";

/// A segment as the directory shows it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) first: u64,
}

/// The segments of a directory, oldest first.
pub(super) fn list(directory: &Path) -> Result<Vec<Listed>, JournalError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(JournalError::io(directory))? {
        let path = entry.map_err(JournalError::io(directory))?.path();
        let is_segment = path
            .extension()
            .is_some_and(|extension| extension == EXTENSION);
        let first = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        if let (true, Some(first)) = (is_segment, first) {
            found.push(Listed { path, first });
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Creates a segment, durable before it is used: header, file, directory.
pub(super) fn create(
    directory: &Path,
    edge: EdgeId,
    first: u64,
) -> Result<(File, PathBuf, u32), JournalError> {
    let path = directory.join(format!("{first:020}.{EXTENSION}"));
    let mut random = [0; 4];
    getrandom::fill(&mut random)
        .map_err(|error| JournalError::io(&path)(std::io::Error::other(error)))?;
    let epoch = u32::from_le_bytes(random);
    let mut header = Vec::with_capacity(64);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&edge.0.to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.resize(64, 0);
    // A segment of this name can only be one without a single valid record, or one whose fsync
    // failed: it is set aside, for a person to look at, unless it is just a header.
    if fs::metadata(&path).is_ok_and(|about| about.len() > HEADER_BYTES) {
        let aside = path.with_extension(format!("{epoch:08x}.damaged"));
        fs::rename(&path, &aside).map_err(JournalError::io(&path))?;
        tracing::error!(path = %aside.display(), "journal: set a damaged segment aside");
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .map_err(JournalError::io(&path))?;
    file.write_all(&header)
        .and_then(|()| file.sync_all())
        .map_err(JournalError::io(&path))?;
    sync_directory(directory)?;
    Ok((file, path, epoch))
}

/// Reads a segment's header: its epoch, or `None` if it is damaged.
pub(super) fn epoch(path: &Path, file: &mut File) -> Result<Option<u32>, JournalError> {
    let mut header = [0; 64];
    if file.read_exact(&mut header).is_err() {
        return Ok(None);
    }
    let mut from = header.as_slice();
    let magic = take::<8>(&mut from);
    let numbers = (take::<4>(&mut from), take::<4>(&mut from));
    let (Some(magic), (Some(version), Some(epoch))) = (magic, numbers) else {
        return Ok(None);
    };
    let crc = header
        .get(28..32)
        .and_then(|crc| crc.first_chunk::<4>().copied());
    let sum = header.get(..28).map(crc32c::crc32c);
    if magic != *MAGIC || crc.map(u32::from_le_bytes) != sum {
        return Ok(None);
    }
    if u32::from_le_bytes(version) > VERSION {
        return Err(JournalError::Newer {
            path: path.to_owned(),
        });
    }
    Ok(Some(u32::from_le_bytes(epoch)))
}

/// Makes creations and deletions in a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    File::open(directory)
        .and_then(|it| it.sync_all())
        .map_err(JournalError::io(directory))
}

/// The edge's id, made on first use.
pub(super) fn edge(directory: &Path) -> Result<EdgeId, JournalError> {
    let path = directory.join("edge");
    match fs::read_to_string(&path) {
        Ok(text) => EdgeId::parse(text.trim()).ok_or_else(|| JournalError::Edge {
            path,
            found: text.trim().to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut random = [0; 4];
            getrandom::fill(&mut random)
                .map_err(|error| JournalError::io(&path)(std::io::Error::other(error)))?;
            let edge = EdgeId(u32::from_le_bytes(random));
            let mut file = File::create(&path).map_err(JournalError::io(&path))?;
            writeln!(file, "{edge}")
                .and_then(|()| file.sync_all())
                .map_err(JournalError::io(&path))?;
            sync_directory(directory)?;
            Ok(edge)
        }
        Err(error) => Err(JournalError::io(&path)(error)),
    }
}

/// Deletes settled segments that are old enough or one too many; never the newest, never one
/// with a record after `settled_to`. Returns the bytes that remain.
pub(super) fn expire(
    directory: &Path,
    options: &JournalOptions,
    settled_to: u64,
    now: Micros,
) -> Result<u64, JournalError> {
    let segments = list(directory)?;
    let mut sizes = Vec::with_capacity(segments.len());
    for segment in &segments {
        let about = fs::metadata(&segment.path).map_err(JournalError::io(&segment.path))?;
        let changed = about.modified().ok().and_then(|time| {
            let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_micros()).ok()
        });
        sizes.push((about.len(), changed.unwrap_or(now.get())));
    }
    let mut total: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
    let keep = i64::try_from(options.keep.as_micros()).unwrap_or(i64::MAX);
    let mut deleted = false;
    for (pair, (bytes, changed)) in segments.windows(2).zip(&sizes) {
        let [segment, next] = pair else { break };
        let settled = next.first <= settled_to.saturating_add(1);
        let old = now.get().saturating_sub(*changed) > keep;
        if !settled || !(old || total > options.bytes_max) {
            break;
        }
        fs::remove_file(&segment.path).map_err(JournalError::io(&segment.path))?;
        total -= bytes;
        deleted = true;
    }
    if deleted {
        sync_directory(directory)?;
    }
    Ok(total)
}
