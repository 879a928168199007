//! Files that commands read and write. Where none is named they read standard input; what is there
//! already they do not overwrite.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Failure;
use super::lines::tell;
use super::reach::Reach;

/// A path that names a file: `-` means standard input or output, as none does.
pub(super) fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| *path != Path::new("-"))
}

/// What a command reads.
#[derive(Debug)]
pub(super) struct Source {
    /// Its name in errors.
    pub(super) shown: String,
    pub(super) file: File,
}

impl Source {
    /// A file, or standard input unless that is the key; `what` is to be read from it.
    ///
    /// # Errors
    /// Exit codes 64 and 66.
    pub(super) fn open(path: Option<&Path>, reach: &Reach, what: &str) -> Result<Self, Failure> {
        if named(path).is_none() && reach.takes_stdin() {
            let line = format!("standard input is the key already; name the file of the {what}");
            return Err(Failure::new(Failure::USAGE, line));
        }
        Self::of(path, what)
    }

    /// A file, or standard input.
    ///
    /// # Errors
    /// Exit code 66.
    pub(super) fn of(path: Option<&Path>, what: &str) -> Result<Self, Failure> {
        if let Some(path) = named(path) {
            let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
                true => Err(ErrorKind::IsADirectory.into()),
                false => Ok(file),
            });
            return Ok(Self {
                shown: path.display().to_string(),
                file: opened.map_err(|error| Failure::no_input(path, &error))?,
            });
        }
        let (stdin, shown) = (std::io::stdin(), "standard input");
        if stdin.is_terminal() {
            tell(format_args!(
                "reading the {what} from the terminal; end with Ctrl-D"
            ));
        }
        let handle = stdin.as_fd().try_clone_to_owned();
        let handle = handle.map_err(|error| Failure::no_input(Path::new(shown), &error));
        Ok(Self {
            shown: shown.to_owned(),
            file: File::from(handle?),
        })
    }

    /// Bytes, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        regular(&self.file).map(|about| about.len())
    }
}

/// A file whatever it is called: two names, links or redirections may lead to the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// `None` for what is no file, such as a pipe: that loses nothing when it is written to.
    pub(super) fn of(file: &File) -> Option<Self> {
        let about = regular(file)?;
        Some(Self {
            device: about.dev(),
            inode: about.ino(),
        })
    }
}

fn regular(file: &File) -> Option<Metadata> {
    file.metadata().ok().filter(Metadata::is_file)
}

/// Standard output, written to without a buffer.
pub(super) fn standard_output() -> Result<File, Failure> {
    let handle = std::io::stdout().as_fd().try_clone_to_owned();
    let failed = |error| Failure::new(Failure::IO, format!("standard output: {error}"));
    handle.map(File::from).map_err(failed)
}

/// Whether a path leads to something that is written to as it is: a device, a pipe, a socket.
pub(super) fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

/// Makes a file that must not be there, for its owner alone: who reads tokens may act for
/// recipients.
///
/// # Errors
/// Exit code 73; with `remedy` if it is there.
pub(super) fn make(path: &Path, remedy: &str) -> Result<File, Failure> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    made.map_err(|error| {
        let failure = cannot_make(path, &error);
        match error.kind() {
            ErrorKind::AlreadyExists => failure.and(remedy),
            _ => failure,
        }
    })
}

/// What only `--force` replaces.
pub(super) fn is_there(path: &Path) -> Failure {
    let line = format!(
        "{} is there already; replace it with --force",
        path.display()
    );
    Failure::new(Failure::CANNOT_CREATE, line)
}

pub(super) fn cannot_make(path: &Path, error: &std::io::Error) -> Failure {
    let line = format!("cannot make {}: {error}", path.display());
    Failure::new(Failure::CANNOT_CREATE, line)
}

pub(super) fn cannot_write(shown: &str, error: &std::io::Error) -> Failure {
    Failure::new(Failure::IO, format!("{shown}: {error}"))
}

/// Writes a file whole or not at all: beside its place first. A stream is written to as it is;
/// another file is replaced only where that is asked for.
///
/// # Errors
/// Exit codes 73 where it cannot be made, 74 where it cannot be written.
pub(super) fn write_whole(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Failure> {
    let shown = path.display().to_string();
    if is_stream(path) {
        let opened = OpenOptions::new().write(true).open(path);
        let mut stream = opened.map_err(|error| cannot_make(path, &error))?;
        return stream
            .write_all(bytes)
            .map_err(|error| cannot_write(&shown, &error));
    }
    let (mut file, replacement) = Replacement::begin(path)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::metadata(path) {
            Ok(before) => file.set_permissions(before.permissions()),
            Err(_) => Ok(()),
        });
    written.map_err(|error| cannot_write(&shown, &error))?;
    match replace {
        true => replacement.take_place(),
        false => replacement.take_free_place(),
    }
}

/// A file that is to take the place of another, and lies beside it until then.
pub(super) struct Replacement {
    beside: PathBuf,
    place: PathBuf,
    taken: bool,
}

impl Replacement {
    /// Makes the file.
    ///
    /// # Errors
    /// Exit code 73.
    pub(super) fn begin(path: &Path) -> Result<(File, Self), Failure> {
        // A link stays one.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = beside(&place);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside);
        // The place is named, not its neighbour, which nobody asked for.
        let file = made.map_err(|error| cannot_make(path, &error))?;
        let taken = false;
        Ok((
            file,
            Self {
                beside,
                place,
                taken,
            },
        ))
    }

    /// Puts it where nothing is: not even what came there meanwhile is lost.
    ///
    /// # Errors
    /// Exit codes 73 and 74.
    fn take_free_place(self) -> Result<(), Failure> {
        let linked = fs::hard_link(&self.beside, &self.place);
        match linked.map_err(|error| (error.kind(), error)) {
            Ok(()) => Ok(()),
            Err((ErrorKind::AlreadyExists, _)) => Err(is_there(&self.place)),
            // A file system without links: what comes in this moment is lost.
            Err(_) if !self.place.exists() => self.take_place(),
            Err((_, error)) => Err(cannot_make(&self.place, &error)),
        }
    }

    /// Puts it in its place; without that it is removed again.
    ///
    /// # Errors
    /// Exit code 74.
    pub(super) fn take_place(mut self) -> Result<(), Failure> {
        let renamed = fs::rename(&self.beside, &self.place);
        renamed.map_err(|error| cannot_write(&self.place.display().to_string(), &error))?;
        self.taken = true;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.taken {
            drop(fs::remove_file(&self.beside));
        }
    }
}

/// A name for the time being, in the same directory.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}
