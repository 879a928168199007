//! A data directory that a command works on by itself, without any server.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::DirectoryLock;

use super::Failure;
use super::reach::{DATA, existing, named};

/// Where a command works.
#[derive(Debug, clap::Args)]
pub(super) struct Local {
    /// Data directory of the server
    #[arg(long, env = "CUPEL_DATA", value_name = "DIR", default_value = DATA)]
    data: OsString,
}

impl Local {
    /// The directory.
    pub(super) fn data(&self) -> PathBuf {
        named(Some(self.data.clone())).unwrap_or_else(|| DATA.into())
    }

    /// The same, which must exist already.
    pub(super) fn existing(&self) -> Result<PathBuf, Failure> {
        let data = self.data();
        existing(&data)?;
        Ok(data)
    }

    /// Takes the directory for this process alone; it must exist already.
    pub(super) fn lock(&self) -> Result<DirectoryLock, Failure> {
        Ok(DirectoryLock::take(&self.existing()?)?)
    }
}
