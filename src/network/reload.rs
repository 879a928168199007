//! Notices that a file was replaced, by modification time, length and inode. It reads no clock
//! and waits for nothing: the caller polls.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::PoisonError;

use super::Networks;
use super::error::NetworkError;
use super::lists::NetworkLists;
use super::table::AsnTable;

/// What a file looked like when it was last considered, whether or not it was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    Never,
    Unreadable(ErrorKind),
    As {
        modified_s: i64,
        modified_ns: i64,
        bytes: u64,
        device: u64,
        inode: u64,
    },
}

impl Seen {
    fn of(file: &Metadata) -> Self {
        Self::As {
            modified_s: file.mtime(),
            modified_ns: file.mtime_nsec(),
            bytes: file.len(),
            device: file.dev(),
            inode: file.ino(),
        }
    }
}

impl Networks {
    /// Facts from these lists and from the table in a file; from the shipped one while the file
    /// cannot be used, and why it cannot.
    ///
    /// # Errors
    /// Only if the program was built from damaged data.
    pub fn open(
        path: &Path,
        lists: NetworkLists,
    ) -> Result<(Self, Option<NetworkError>), NetworkError> {
        let mut seen = Seen::Never;
        let (table, refused) = match read_if_changed(path, &mut seen) {
            Ok(table) => (table, None),
            Err(error) => (None, Some(error)),
        };
        let table = table.map_or_else(AsnTable::shipped, Ok)?;
        let networks = Self {
            seen: seen.into(),
            ..Self::new(table, lists)
        };
        Ok((networks, refused))
    }

    /// Takes the table over from `path` if the file there is another than when it was last looked
    /// at, and says whether it did.
    ///
    /// # Errors
    /// A file that is gone, unreadable or refused; the table in use stays. The same failure is
    /// reported once, and the file not tried again before it changes.
    pub fn reload_if_changed(&self, path: &Path) -> Result<bool, NetworkError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let table = read_if_changed(path, &mut seen)?;
        let changed = table.is_some();
        if let Some(table) = table {
            self.replace(table);
        }
        Ok(changed)
    }
}

/// The table in a file that is not the one that `last` tells of.
fn read_if_changed(path: &Path, last: &mut Seen) -> Result<Option<AsnTable>, NetworkError> {
    let unreadable = |source| NetworkError::Io {
        path: path.to_owned(),
        action: "read",
        source,
    };
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (seen, file) = match opened {
        Ok((metadata, file)) => (Seen::of(&metadata), Ok(file)),
        Err(error) => (Seen::Unreadable(error.kind()), Err(error)),
    };
    if seen == *last {
        return Ok(None);
    }
    *last = seen;
    AsnTable::read(&mut file.map_err(unreadable)?, path).map(Some)
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
            let built = build(&path("v4.csv"), &path("v6.csv"), "test").unwrap();
            std::fs::write(path("new"), built.file).unwrap();
            std::fs::rename(path("new"), path("asn.cupel")).unwrap();
        };
        let networks = Networks::shipped().unwrap();
        let asn = || networks.facts("10.0.0.1".parse().unwrap()).asn;
        let reload = || networks.reload_if_changed(&path("asn.cupel"));

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
