//! Files that are written whole or not at all: whoever reads finds the old one or the new one,
//! after a power cut too.

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `bytes` to `NAME.new`, for its owner alone, and puts that in the place of `path` once it
/// is on the disk. What an earlier attempt left there is removed: the directory is one that a
/// single process owns.
///
/// # Errors
/// The file is as it was; or it is the new one, and a power cut may bring back the old.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // Made anew, so that its permissions are these.
    drop(fs::remove_file(&beside));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may not have been made at all.
        drop(fs::remove_file(&beside));
        return written;
    }
    // A bare name lies in the working directory.
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let own = tempfile::tempdir().unwrap();
        let path = own.path().join("keys");
        write(&path, b"one").unwrap();
        // What a crash left behind is in nobody's way.
        fs::write(own.path().join("keys.new"), b"half of a longer one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        // A directory cannot be replaced by a file: nothing is left of the attempt.
        let taken = own.path().join("taken");
        fs::create_dir(&taken).unwrap();
        write(&taken, b"three").unwrap_err();
        assert!(taken.is_dir());
        assert_eq!(fs::read_dir(own.path()).unwrap().count(), 2);
    }
}
