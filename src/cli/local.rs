//! A data directory that a command works on by itself, without any server.

use std::path::{Path, PathBuf};

use crate::app::DirectoryLock;

use super::Failure;
use super::reach::existing;

/// Where a command works.
#[derive(Debug, clap::Args)]
pub(super) struct Local {
    /// Data directory of the server
    #[arg(long, env = "CUPEL_DATA", value_name = "DIR", default_value = "data")]
    pub(super) data: PathBuf,
}

impl Local {
    /// The directory, which must exist already.
    pub(super) fn existing(&self) -> Result<&Path, Failure> {
        existing(&self.data)
    }

    /// Takes the directory for this process alone; it must exist already.
    pub(super) fn lock(&self) -> Result<DirectoryLock, Failure> {
        Ok(DirectoryLock::take(self.existing()?)?)
    }
}
