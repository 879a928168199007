//! What survives: `kill -9` under load, and a database that is locked, moved away or corrupt.

#[path = "../harness/mod.rs"]
mod harness;

mod kill;
mod store_away;
