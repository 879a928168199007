//! What survives: `kill -9` under load, power cuts, disks that are full, broken or hung, and a
//! database that is locked, moved away or corrupt.

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

mod deliveries;
mod full;
mod hung;
mod kill;
mod load;
mod mounted;
mod power;
mod refused;
mod store_away;
mod watch;
