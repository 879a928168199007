//! What a command ends with: one line, and the exit code that sysexits(3) gives it.

use crate::app::DirectoryError;
use crate::config::ConfigError;
use crate::listen::CertificateError;
use crate::resolve::KeyRingError;
use crate::store::StoreError;
use crate::web::ShareError;

/// Something is wrong that one line can say, or each in one.
#[derive(Debug, thiserror::Error)]
#[error("{line}")]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) line: String,
}

impl Failure {
    pub(super) const USAGE: u8 = 64;
    pub(super) const DATA: u8 = 65;
    pub(super) const NO_INPUT: u8 = 66;
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const SOFTWARE: u8 = 70;
    pub(super) const CANNOT_CREATE: u8 = 73;
    pub(super) const IO: u8 = 74;
    pub(super) const TEMPORARY: u8 = 75;
    pub(super) const PROTOCOL: u8 = 76;
    pub(super) const NO_PERMISSION: u8 = 77;
    pub(super) const CONFIGURATION: u8 = 78;
    /// What a shell says of a process that SIGINT ended.
    pub(super) const INTERRUPTED: u8 = 130;

    pub(super) fn new(code: u8, line: impl std::fmt::Display) -> Self {
        // One line each: causes from the system may bring their own breaks.
        Self {
            code,
            line: line.to_string().replace('\n', " "),
        }
    }

    /// A file that cannot be read.
    pub(super) fn no_input(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(
            Self::NO_INPUT,
            format!("cannot read {}: {error}", path.display()),
        )
    }

    /// Whether the same may work in a while.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.code, Self::TEMPORARY | Self::UNAVAILABLE)
    }

    /// The same with a remedy behind it.
    pub(super) fn and(self, more: impl std::fmt::Display) -> Self {
        Self::new(self.code, format!("{}; {more}", self.line))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        // All that is wrong, a line each.
        Self {
            code: Self::CONFIGURATION,
            line: error.to_string(),
        }
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        let code = match error {
            DirectoryError::Unwritable { .. } => Self::CANNOT_CREATE,
            DirectoryError::InUse { .. } => Self::TEMPORARY,
            DirectoryError::Foreign { .. } | DirectoryError::OtherStore { .. } => {
                Self::CONFIGURATION
            }
        };
        Self::new(code, error)
    }
}

/// A database that is away may come; one that is not ours stays so.
fn of_store(error: Option<&ShareError>) -> u8 {
    match error {
        Some(ShareError::Store(StoreError::Unavailable(_)) | ShareError::Meanwhile) => {
            Failure::TEMPORARY
        }
        _ => Failure::CONFIGURATION,
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // Keys and certificates that are missing or damaged are the operator's to put back.
        let keys = matches!(error.downcast_ref(), Some(KeyRingError::Form { .. }));
        let directory = error.is::<DirectoryError>();
        let code = match error.downcast_ref() {
            _ if directory => Self::CONFIGURATION,
            _ if keys => Self::CONFIGURATION,
            _ if error.is::<ShareError>() => of_store(error.downcast_ref()),
            Some(CertificateError::File { .. }) => Self::CONFIGURATION,
            // A disk may come later, and files that are renewed fit again in a moment.
            Some(CertificateError::Unreadable { .. }) => Self::NO_INPUT,
            Some(CertificateError::Mismatch { .. }) => Self::TEMPORARY,
            None => Self::SOFTWARE,
        };
        Self::new(code, format!("{error:#}"))
    }
}
