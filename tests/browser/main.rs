//! The tour as a new user would take it, with real browsers: the programs beside this file drive
//! them.

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

mod driver;
mod engines;
mod tour;
