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
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) epoch: u32,
}

/// A new segment that begins with `first` and holds `records`, sealed by `seal` for its epoch.
///
/// It is written under another name, fsynced, and then takes its own, so that a name only ever
/// stands for a whole header. The caller syncs the directory.
pub(super) fn create(
    directory: &Path,
    edge: EdgeId,
    first: u64,
    seal: impl FnOnce(u32) -> Vec<u8>,
) -> Result<Segment, JournalError> {
    let prepared = prepare(directory)?;
    let records = seal(prepared.epoch);
    let write = || {
        prepared
            .file
            .write_all_at(&header(prepared.epoch, edge, first), 0)?;
        prepared.file.write_all_at(&records, HEADER_BYTES)?;
        prepared.file.sync_all()
    };
    write().map_err(JournalError::io(&prepared.path))?;
    prepared.named(directory, first)
}

/// A segment without a name or a first record, made ahead of need.
pub(super) fn prepare(directory: &Path) -> Result<Segment, JournalError> {
    let path = directory.join("next.segment");
    let mut random = [0; 4];
    getrandom::fill(&mut random)
        .map_err(|error| JournalError::io(&path)(std::io::Error::other(error)))?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(JournalError::io(&path))?;
    file.write_all_at(&[0; 64], 0)
        .and_then(|()| file.sync_all())
        .map_err(JournalError::io(&path))?;
    Ok(Segment {
        file: Arc::new(file),
        path,
        epoch: u32::from_le_bytes(random),
    })
}

impl Segment {
    /// Begins a prepared segment: header, then its name.
    pub(super) fn begin(
        self,
        directory: &Path,
        edge: EdgeId,
        first: u64,
    ) -> Result<Self, JournalError> {
        let written = self.file.write_all_at(&header(self.epoch, edge, first), 0);
        written.map_err(JournalError::io(&self.path))?;
        self.named(directory, first)
    }

    fn named(self, directory: &Path, first: u64) -> Result<Self, JournalError> {
        let path = directory.join(format!("{first:020}.{EXTENSION}"));
        fs::rename(&self.path, &path).map_err(JournalError::io(&path))?;
        Ok(Self { path, ..self })
    }
}

fn header(epoch: u32, edge: EdgeId, first: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(64);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&edge.0.to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.resize(64, 0);
    header
}

/// Reads a segment's header: its epoch, or `None` if it is damaged or another edge's.
pub(super) fn epoch(
    path: &Path,
    file: &mut File,
    edge: EdgeId,
) -> Result<Option<u32>, JournalError> {
    let header = read_header(path, file)?;
    Ok(header.filter(|(_, of)| *of == edge).map(|(epoch, _)| epoch))
}

/// Epoch and edge of a segment; `None` if its header is damaged.
fn read_header(path: &Path, file: &mut File) -> Result<Option<(u32, EdgeId)>, JournalError> {
    let mut header = [0; 64];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(JournalError::io(path)(error)),
    }
    let crc = header
        .get(28..32)
        .and_then(|crc| crc.first_chunk::<4>().copied());
    let sum = header.get(..28).map(crc32c::crc32c);
    let mut from = header.as_slice();
    let magic = take::<8>(&mut from);
    let mut number = || take::<4>(&mut from).map(u32::from_le_bytes);
    let (Some(version), Some(epoch), Some(edge)) = (number(), number(), number()) else {
        return Ok(None);
    };
    if magic.as_ref() != Some(MAGIC) || crc.map(u32::from_le_bytes) != sum {
        return Ok(None);
    }
    if version > VERSION {
        return Err(JournalError::Newer {
            path: path.to_owned(),
        });
    }
    Ok(Some((epoch, EdgeId(edge))))
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
            if let Some(edge) = edge_of_segments(directory)? {
                // A new one would count again what these segments hold.
                tracing::error!(%edge, "journal: the edge file is missing; the segments name it");
                return Ok(edge);
            }
            let mut random = [0; 4];
            getrandom::fill(&mut random)
                .map_err(|error| JournalError::io(&path)(std::io::Error::other(error)))?;
            let edge = EdgeId(u32::from_le_bytes(random));
            let beside = directory.join("edge.new");
            let write = || {
                let mut file = File::create(&beside)?;
                writeln!(file, "{edge}")?;
                file.sync_all()?;
                fs::rename(&beside, &path)
            };
            write().map_err(JournalError::io(&path))?;
            sync_directory(directory)?;
            Ok(edge)
        }
        Err(error) => Err(JournalError::io(&path)(error)),
    }
}

/// The edge that the newest readable segment was written by.
fn edge_of_segments(directory: &Path) -> Result<Option<EdgeId>, JournalError> {
    for listed in list(directory)?.iter().rev() {
        let mut file = File::open(&listed.path).map_err(JournalError::io(&listed.path))?;
        if let Some((_, edge)) = read_header(&listed.path, &mut file)? {
            return Ok(Some(edge));
        }
    }
    Ok(None)
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
    let keep = micros(options.keep);
    let keep_records = keep.saturating_sub(micros(options.segment_age_max()));
    let mut total: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
    let mut deleted = false;
    for (pair, (bytes, changed)) in segments.windows(2).zip(&sizes) {
        let [segment, next] = pair else { break };
        let settled = next.first <= settled_to.saturating_add(1);
        let old = now.get().saturating_sub(*changed) > keep_records;
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

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
