//! Load for an HTTP/1.1 server, and the account of what became of every request.
//!
//! Owns: the open-loop generator ([`run`], [`Running`]), its latencies ([`Histogram`]), the oracle
//! that says what a server must have kept ([`Oracle`]), seeds and their keeping ([`Seed`],
//! [`seeds_kept`]), the header sets that requests are made of ([`requests`]). Refuses: TLS,
//! HTTP/2, pipelining, chunked answers, and knowing what is stored where: a test asks the server
//! and hands the ids over.

mod answer;
mod connection;
mod engine;
mod histogram;
mod load;
mod oracle;
mod outcome;
mod pool;
pub mod requests;
mod schedule;
mod seed;

pub use histogram::Histogram;
pub use load::{Arrivals, LoadError, Plan, Running, WhenGone, run};
pub use oracle::{Faults, Oracle, Verdict};
pub use outcome::{Generator, Outcome};
pub use requests::Requests;
pub use seed::{KeptSeed, NotASeed, Random, Seed, keep_seed, seeds_kept};
