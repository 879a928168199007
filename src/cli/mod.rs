//! Commands: one file each. A command reads its arguments, calls, and prints.

mod config;
mod geoip;
mod journal;
mod keys;
mod lines;
mod local;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::DirectoryError;
use crate::config::ConfigError;
use crate::resolve::KeyRingError;

/// Self-hosted redirector for e-mail that tells people from machines and shows why.
#[derive(Debug, Parser)]
#[command(name = "cupel", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer links, pixels and pages, and the API
    Serve(serve::Serve),
    /// Check, show and reload the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make API keys; rotate, retire and revoke the keys that sign tokens
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Look at the journal; settle it without serving
    #[command(subcommand)]
    Journal(journal::Journal),
    /// Build the network table from public data
    #[command(subcommand)]
    Geoip(geoip::Geoip),
}

/// Something is wrong that one line can say; with the exit code that sysexits(3) gives it.
#[derive(Debug, thiserror::Error)]
#[error("{line}")]
struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    const USAGE: u8 = 64;
    const DATA: u8 = 65;
    const UNAVAILABLE: u8 = 69;
    const SOFTWARE: u8 = 70;
    const CANNOT_CREATE: u8 = 73;
    const IO: u8 = 74;
    const TEMPORARY: u8 = 75;
    const CONFIGURATION: u8 = 78;

    fn new(code: u8, line: impl std::fmt::Display) -> Self {
        // One line each: causes from the system may bring their own breaks.
        Self {
            code,
            line: line.to_string().replace('\n', " "),
        }
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
        };
        Self::new(code, error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // Keys that are missing or damaged are the operator's to put back.
        let form = matches!(error.downcast_ref(), Some(KeyRingError::Form { .. }));
        let code = if form {
            Self::CONFIGURATION
        } else {
            Self::SOFTWARE
        };
        Self::new(code, format!("{error:#}"))
    }
}

/// Reads the arguments and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            if error.print().is_err() {
                return ExitCode::from(Failure::SOFTWARE);
            }
            return if usage {
                ExitCode::from(Failure::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let done = match cli.command {
        Command::Serve(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Journal(command) => command.run(),
        Command::Geoip(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.line.lines() {
                eprintln!("cupel: {line}");
            }
            ExitCode::from(failure.code)
        }
    }
}
