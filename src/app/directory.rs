//! The data directory: taken by one process, private to its owner; the control socket in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::config::{Config, without_password};
use crate::listen::{Listener, Socket};
use crate::resolve::{KeyRing, KeyRingError};
use crate::web::NewKey;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or written.
    #[error("data directory {path}: {source}; choose another with --data")]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds what is not cupel's, and cupel never used it.
    #[error(
        "{path} holds {found} and was never a data directory of cupel; name one that is new or \
         empty with --data, or put a cupel.toml into it"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Name of a file in it.
        found: String,
    },
    /// Its store is a database server's, and the configuration does not name one.
    #[error(
        "the store of {path} is {store}, and no store is configured: name the configuration with \
         --config, or remove {path}/store-is to begin with a file"
    )]
    OtherStore {
        /// The directory.
        path: PathBuf,
        /// URL of the server's database, without its password.
        store: String,
    },
    /// Another process uses it.
    #[error("data directory {path} is in use by another cupel; stop that one first")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

/// Which database server has its store.
const STORE_IS: &str = "store-is";

/// Whether the store that is configured can be that of the data directory: a command that was not
/// told of the database would begin with an empty file.
///
/// # Errors
/// It is another's.
pub(super) fn check_store(config: &Config) -> Result<(), DirectoryError> {
    let store = fs::read_to_string(config.data.join(STORE_IS));
    match (&config.store, store) {
        (None, Ok(store)) => Err(DirectoryError::OtherStore {
            path: config.data.clone(),
            store: store.trim().to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Writes down which database server has the store of a data directory.
pub(super) fn say_store(config: &Config) {
    let Some(url) = &config.store else { return };
    let (path, line) = (config.data.join(STORE_IS), without_password(url) + "\n");
    if fs::read_to_string(&path).is_ok_and(|before| before == line) {
        return;
    }
    if let Err(error) = fs::write(&path, line) {
        tracing::warn!(%error, "app: {} cannot be written", path.display());
    }
    // Keys of sources are in the database from now on.
    drop(fs::remove_file(config.data.join("day-keys")));
}

/// Proof that this process alone uses a data directory, for as long as it is kept.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if it is missing, and takes it; with it goes the access of others.
    ///
    /// # Errors
    /// It cannot be written, is used for something else, or another process has it.
    pub fn take(data: &Path) -> Result<Self, DirectoryError> {
        let unwritable = |source| DirectoryError::Unwritable {
            path: data.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(unwritable)?;
        if !is_used(data)
            && let Some(found) = foreign(data).map_err(unwritable)?
        {
            return Err(DirectoryError::Foreign {
                path: data.to_owned(),
                found,
            });
        }
        make_private(data).map_err(unwritable)?;
        let path = data.join("lock");
        let file = match writable(&path) {
            // A disk that can only be read now holds links all the same.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => File::open(&path),
            file => file,
        };
        let file = file.map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(DirectoryError::InUse {
                path: data.to_owned(),
            }),
            Err(fs::TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }
}

/// What a start that failed leaves in a directory, and what a new disk has.
const BEFORE_USE: [&str; 2] = ["lock", "lost+found"];

/// Something in a directory that nobody has put there for cupel: such as all that lies in `/tmp`.
/// Where a `cupel.toml` lies the directory is meant, with certificates and whatever else.
fn foreign(data: &Path) -> std::io::Result<Option<String>> {
    if data.join("cupel.toml").exists() {
        return Ok(None);
    }
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A start that failed may have made a socket, and a shell the file of its log.
        let about = entry.metadata()?;
        let nothing = about.file_type().is_socket() || (about.is_file() && about.len() == 0);
        // A copy that was broken off may have begun the database.
        let ours = BEFORE_USE.contains(&name.as_str()) || name.starts_with("cupel.sqlite");
        if !nothing && !ours {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Takes others' access away, whoever gave it: addresses of readers and the keys lie there. Where
/// that is not for us to do it is said, and no reason not to serve.
fn make_private(data: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(data)?.permissions().mode();
    // What is sticky is shared on purpose, such as /tmp.
    let shared = mode & 0o1000 != 0;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    if !shared {
        match fs::set_permissions(data, fs::Permissions::from_mode(0o700)) {
            // Its owner is somebody else, and lets us in by our group; or its disk is read-only.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) => {}
            done => return done,
        }
    }
    if mode & 0o007 != 0 {
        let data = data.display();
        tracing::warn!(%data, "app: others may open the data directory; take their access away");
    }
    Ok(())
}

fn writable(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// What only a directory that was served has.
const TRACES: [&str; 3] = ["store-created", "catalogue", "journal/edge"];

/// Whether a directory was ever used as a data directory; one that we may not look into may be.
#[must_use]
pub fn is_used(data: &Path) -> bool {
    let made = ["keys"].iter().chain(&TRACES);
    made.into_iter().any(|trace| may_exist(&data.join(trace)))
}

fn may_exist(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// The key ring of a data directory; made only where nothing can have been signed yet.
///
/// # Errors
/// It cannot be read or made, or is missing from a directory that was used.
pub fn open_key_ring(data: &Path) -> Result<KeyRing, KeyRingError> {
    let fresh = TRACES.iter().all(|trace| !may_exist(&data.join(trace)));
    KeyRing::open(&data.join("keys"), fresh)
}

/// Name of the socket file of the server that runs on a data directory.
pub(super) const CONTROL_SOCKET: &str = "control.sock";
/// The same of a command that serves itself: another that found it could come too late.
pub(super) const COMMAND_SOCKET: &str = "command.sock";

/// The socket through which commands on this machine reach the server without a key: who may
/// open it may read the data directory.
pub(super) fn control_socket(path: &Path) -> Option<Listener> {
    remove_socket(path);
    let bound = UnixListener::bind(path).and_then(|listener| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    bound
        .inspect_err(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "app: no control socket; commands need a key");
        })
        .ok()
        .map(|socket| Listener {
            socket: Socket::Unix(socket),
            secure: false,
        })
}

pub(super) fn remove_socket(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "app: cannot remove the control socket");
        }
    }
}

/// Writes a key to a file that only its owner may read, and returns its path.
///
/// # Errors
/// The file cannot be written.
pub fn write_key_file(data: &Path, key: &NewKey) -> std::io::Result<PathBuf> {
    let path = data.join("admin.key");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{}", key.text())?;
    file.sync_all()?;
    Ok(path)
}
