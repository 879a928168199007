//! Real and simulated material, far more of it than unit tests hold.

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

mod baselines;
mod commonest;
mod edge;
mod judge;
mod rewrite;
