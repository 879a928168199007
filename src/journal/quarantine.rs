//! Bytes that did not validate, set aside for whoever wants to look at them, as long as records
//! are kept: addresses may stand in them.

use std::time::Duration;

use crate::domain::time::Micros;

use super::JournalError;
use super::disk::Disk;
use super::segment::micros;

const EXTENSION: &str = ".damaged";
/// Files at most; further damage is counted and stays where it is until its segment expires.
const FILES_MAX: usize = 256;

/// What bytes of `file` at offset `at` are called when they are set aside.
pub(super) fn name(file: &str, at: u64) -> String {
    format!("{file}-{at}{EXTENSION}")
}

/// Keeps a copy of `bytes`, found in `name` at offset `at`. It is no harm if it cannot.
pub(super) fn keep(disk: &dyn Disk, name: &str, at: u64, bytes: &[u8]) {
    let copy = self::name(name, at);
    let kept = names(disk).len();
    if kept >= FILES_MAX {
        return;
    }
    let written = disk.create(&copy).and_then(|file| file.write_at(bytes, 0));
    if let Err(error) = written {
        tracing::warn!(%error, copy, "journal: damaged bytes could not be set aside");
    }
}

/// Names of what is set aside.
pub(super) fn names(disk: &dyn Disk) -> Vec<String> {
    let mut names = disk.names().unwrap_or_default();
    names.retain(|name| name.ends_with(EXTENSION));
    names
}

/// Deletes what was set aside longer ago than `keep`.
pub(super) fn expire(disk: &dyn Disk, keep: Duration, now: Micros) -> Result<(), JournalError> {
    let mut done = Ok(());
    for name in names(disk) {
        let removed = disk.open(&name).and_then(|file| {
            let age = now.get().saturating_sub(file.modified()?.get());
            if age > micros(keep) {
                disk.remove(&name)?;
            }
            Ok(())
        });
        // One that cannot be deleted keeps no other.
        done = done.and(removed.map_err(JournalError::io(&disk.path(&name))));
    }
    done
}
