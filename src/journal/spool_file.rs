//! Files of the spool: their names, their header, and how a body is read back.
//!
//! A file is named `{number, 20 digits}.spool`; its number is when it was opened, in µs, or one
//! more than the highest that is there. Bodies stand behind its header one after the other, as they
//! came.
//!
//! | at | bytes | header |
//! |---|---|---|
//! | 0 | 8 | `CUPELSPL` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | number |
//! | 24 | 4 | CRC32C of the bytes before |
//! | 28 | 4 | zero |
//!
//! A damaged header costs no body: the digest alone says whether one is what came.

use sha2::{Digest, Sha256};

use crate::domain::record::take;

use super::disk::{Disk, DiskFile};
use super::{JournalError, Received};

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"CUPELSPL";
const VERSION: u32 = 1;
const EXTENSION: &str = ".spool";

/// Name of a file.
pub(super) fn name(number: u64) -> String {
    format!("{number:020}{EXTENSION}")
}

/// What a file begins with.
pub(super) fn header(number: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut front = MAGIC.to_vec();
    front.extend_from_slice(&VERSION.to_le_bytes());
    front.extend_from_slice(&[0; 4]);
    front.extend_from_slice(&number.to_le_bytes());
    let sum = crc32c::crc32c(&front).to_le_bytes();
    for (place, byte) in header.iter_mut().zip(front.into_iter().chain(sum)) {
        *place = byte;
    }
    header
}

/// Whether a file says, credibly, that a newer version wrote it.
fn is_newer(file: &dyn DiskFile) -> bool {
    let mut header = [0; HEADER_BYTES];
    let read = file.read_at(&mut header, 0).unwrap_or(0);
    let (front, mut sum) = header.split_at(24);
    let whole = read == HEADER_BYTES && front.starts_with(MAGIC);
    let credible = take(&mut sum) == Some(crc32c::crc32c(front).to_le_bytes());
    let version = front.get(8..).and_then(|mut from| take(&mut from));
    whole && credible && version.is_some_and(|version| u32::from_le_bytes(version) > VERSION)
}

/// Numbers of all files of a directory, oldest first.
pub(super) fn numbers(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    let names = disk.names().map_err(JournalError::io(&disk.path("")))?;
    let number = |name: &String| {
        let digits = name.strip_suffix(EXTENSION)?;
        (digits.len() == 20).then(|| digits.parse().ok()).flatten()
    };
    let mut numbers: Vec<_> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a body back; `None` if its file has gone.
pub(super) fn body(disk: &dyn Disk, received: &Received) -> Result<Option<Vec<u8>>, JournalError> {
    let name = received.file();
    let path = disk.path(&name);
    let file = match disk.open(&name) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io(&path)(error)),
    };
    if is_newer(&*file) {
        return Err(JournalError::Newer { path });
    }
    let read = read(&*file, received).map_err(JournalError::io(&path))?;
    if Sha256::digest(&read).as_slice() == received.digest {
        return Ok(Some(read));
    }
    let offset = received.offset;
    Err(JournalError::Body { path, offset })
}

fn read(file: &dyn DiskFile, received: &Received) -> std::io::Result<Vec<u8>> {
    // A file that was cut must not make this ask for more memory than there are bytes.
    let there = file.length()?.saturating_sub(received.offset);
    let length = there.min(u64::from(received.length));
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut at = 0;
    while let Some(room) = bytes.get_mut(at..).filter(|room| !room.is_empty()) {
        match file.read_at(room, received.offset + at as u64)? {
            0 => break,
            read => at += read,
        }
    }
    bytes.truncate(at);
    Ok(bytes)
}
