//! What users of the API and readers of mails rely on, over real sockets against the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that is surprised should fail there and then"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod acme;
mod backup;
mod bad_input;
mod calibration;
mod campaigns;
mod cluster;
mod commands;
mod commands_deliveries;
mod commands_files;
mod commands_help;
mod commands_mint;
mod commands_mint_ends;
mod commands_reach;
mod commands_refusals;
mod commands_remote;
mod commands_resume;
mod configuration;
mod deliveries;
mod directory;
mod edges;
mod events;
mod explain;
mod face;
mod front;
mod health;
mod host;
mod journal_command;
mod languages;
mod leases;
mod metrics;
mod migrating;
mod monitoring;
mod moving;
mod neighbours;
mod pages;
mod postgres;
mod postgres_faults;
mod readme;
mod redirects;
mod rejudgements;
mod requests;
mod rewriting;
mod rulesets;
mod short_links;
mod story;
mod supervised;
mod tokens;
