//! The rules: one function each, named in `signals::SIGNALS`. Those of `timing` and `neighbours`
//! hold at settling, the others in a request.
//!
//! Owns: what makes a fact true. Refuses: weights, state, clocks.

pub(super) mod agent;
pub(super) mod browser;
pub(super) mod neighbours;
pub(super) mod network;
pub(super) mod request;
pub(super) mod timing;
