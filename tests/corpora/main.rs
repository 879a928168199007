//! Real and simulated material, far more of it than unit tests hold.

mod judge;
mod rewrite;
