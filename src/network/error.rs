//! Why a table or list was refused. Every message names the file, the place in it and a remedy.

use std::io;
use std::path::PathBuf;

/// A table, list or source file that was not taken over. The one in use before stays in use.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file could not be opened, read or written.
    #[error("{path}: cannot {action} ({source}); check that it exists and may be used",
            path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed: `read`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A line of an imported CSV.
    #[error("{path}, line {line}: {problem}; expected first,last,asn,organisation with both \
             addresses inclusive", path = path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// An ASN table in our own form that is damaged, cut short or of another version.
    #[error("{path}: damaged ASN table: {problem}; make it again with `cupel geoip build` or \
             take it from the release", path = path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that is no usable MaxMind database of autonomous systems.
    #[error("{path}: no usable ASN database: {problem}; use a table made by `cupel geoip build`, \
             or a GeoLite2-ASN, DB-IP ASN Lite or IPinfo .mmdb fetched anew",
            path = path.display())]
    Mmdb {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What was asked of a build cannot be done.
    #[error("cannot build the ASN table: {problem}")]
    Build {
        /// What stands in the way.
        problem: String,
    },
    /// The network lists.
    #[error("{file}, line {line}: {problem}; the form is described in geoip/README.md")]
    Lists {
        /// Name of the file.
        file: &'static str,
        /// Line in the file, from 1; 0 where it concerns the whole file.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}
