//! One thing that was written, and where: a flag, a variable, a line of a file, or the default.

use std::fmt;
use std::path::{Path, PathBuf};

/// What was written for a key, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    One(String),
    Many(Vec<String>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, as it is called.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(String),
    /// A file that a variable names.
    VariableFile {
        /// The variable.
        variable: String,
        /// The file.
        file: PathBuf,
    },
    /// The configuration file.
    File {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// Nobody wrote it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(variable) => f.write_str(variable),
            Self::VariableFile { variable, file } => {
                write!(f, "{variable}={}", file.display())
            }
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A key's value with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) written: Written,
    pub(super) origin: Origin,
}

/// Something that is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written.
    pub origin: Origin,
    /// The key, such as `journal.keep_hours`; empty where no key can be named.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl Problem {
    pub(super) fn new(origin: Origin, key: &str, what: impl fmt::Display) -> Self {
        Self {
            origin,
            key: key.to_owned(),
            // One line each, whatever a parser says.
            what: what.to_string().replace('\n', " "),
        }
    }

    pub(super) fn in_file(file: &Path, line: usize, key: &str, what: impl fmt::Display) -> Self {
        let file = file.to_owned();
        Self::new(Origin::File { file, line }, key, what)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration: ")?;
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}
