//! Cupel: a self-hosted redirector for e-mail that tells people from machines and shows why.
//!
//! The rooms and which may use which are in `ARCHITECTURE.md`; `tests/tidy.rs` holds them to it.

// Their macros panic when nobody takes what they print: `cli::lines` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod journal;
pub mod judge;
pub mod listen;
pub mod network;
pub mod resolve;
pub mod rewrite;
pub mod settle;
pub mod shutdown;
pub mod stats;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod whole_file;
