//! The rules of request signals: one function each, named in `signals::SIGNALS`.
//!
//! Owns: what makes a fact true. Refuses: weights, state, time, other hits.

pub(super) mod agent;
pub(super) mod browser;
pub(super) mod network;
pub(super) mod request;
