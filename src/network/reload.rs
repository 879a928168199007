//! Notices that a file was replaced, by modification time, length and inode. It reads no clock
//! and waits for nothing: the caller polls.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Networks;
use super::error::NetworkError;
use super::table::AsnTable;

/// What a file looked like when it was last considered, whether or not it was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp(Seen);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Never,
    Absent,
    As {
        modified_s: i64,
        modified_ns: i64,
        bytes: u64,
        device: u64,
        inode: u64,
    },
}

impl FileStamp {
    fn of(file: &Metadata) -> Self {
        Self(Seen::As {
            modified_s: file.mtime(),
            modified_ns: file.mtime_nsec(),
            bytes: file.len(),
            device: file.dev(),
            inode: file.ino(),
        })
    }
}

impl Networks {
    /// Takes the table over from `path` if the file there is not the one that `last` tells of,
    /// and says whether it did. A new `FileStamp::default()` takes over any file.
    ///
    /// # Errors
    /// A file that is gone, unreadable or refused; the table in use stays. `last` tells of that
    /// file from then on, so that the same failure is reported once and not tried again before
    /// the file changes.
    pub fn reload_if_changed(
        &self,
        path: &Path,
        last: &mut FileStamp,
    ) -> Result<bool, NetworkError> {
        let unreadable = |source| NetworkError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        };
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (stamp, file) = match opened {
            Ok((metadata, file)) => (FileStamp::of(&metadata), Ok(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (FileStamp(Seen::Absent), Err(error))
            }
            // Not known whether it changed: said each time until it can be read.
            Err(error) => return Err(unreadable(error)),
        };
        if stamp == *last {
            return Ok(false);
        }
        *last = stamp;
        self.replace(AsnTable::read(&mut file.map_err(unreadable)?, path)?);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::build;

    #[test]
    fn a_new_file_is_taken_over_once_and_a_broken_one_is_refused_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("v6.csv"), "2001:200::,2001:200::1,2500,WIDE\n").unwrap();
        let put = |asn: u32| {
            std::fs::write(path("v4.csv"), format!("10.0.0.0,10.0.0.9,{asn},x\n")).unwrap();
            build(&path("v4.csv"), &path("v6.csv"), &path("asn.cupel"), "test").unwrap();
        };
        let networks = Networks::shipped().unwrap();
        let asn = || networks.facts("10.0.0.1".parse().unwrap()).asn;
        let mut last = FileStamp::default();
        let mut reload = || networks.reload_if_changed(&path("asn.cupel"), &mut last);

        assert!(reload().is_err(), "absent");
        assert!(!reload().unwrap(), "still absent");
        put(64512);
        assert!(reload().unwrap());
        assert!(!reload().unwrap());
        assert_eq!(asn(), 64512);
        std::fs::write(path("asn.cupel"), b"CUPELASN, but broken").unwrap();
        assert!(reload().unwrap_err().to_string().contains("asn.cupel"));
        assert!(!reload().unwrap(), "not tried again");
        assert_eq!(asn(), 64512);
        put(64513);
        assert!(reload().unwrap());
        assert_eq!(asn(), 64513);
        assert_eq!(networks.organisation(64513).as_deref(), Some("x"));
    }
}
