//! A data directory that a command works on by itself, without any server.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::DirectoryLock;
use crate::config::{Flags, data_directory};

use super::Failure;
use super::reach::{existing, named};

/// Where a command works.
#[derive(Debug, clap::Args)]
pub(super) struct Local {
    /// Data directory of the server [default: that of the configuration, or data]
    #[arg(long, env = "CUPEL_DATA", value_name = "DIR")]
    data: Option<OsString>,
    /// Configuration file [default: DIR/cupel.toml if there is one]
    #[arg(long, env = "CUPEL_CONFIG", value_name = "FILE")]
    config: Option<OsString>,
}

impl Local {
    /// The configuration file that is named.
    pub(super) fn config(&self) -> Option<PathBuf> {
        named(self.config.clone())
    }

    /// The directory.
    pub(super) fn data(&self) -> PathBuf {
        let data = named(self.data.clone());
        data.unwrap_or_else(|| data_directory(self.config().as_deref()))
    }

    /// The configuration as the server reads it, without what only serving needs.
    pub(super) fn flags(&self) -> Flags {
        Flags {
            data: Some(self.data()),
            config: self.config(),
            listen: Some("127.0.0.1:0".to_owned()),
            control: Some("127.0.0.1:0".to_owned()),
            base_url: Some("http://localhost".to_owned()),
            ..Flags::default()
        }
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
