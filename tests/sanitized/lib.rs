//! The one file with `unsafe`, by itself, so that its tests run under AddressSanitizer within
//! seconds (`./test`).

#![allow(
    dead_code,
    unreachable_pub,
    reason = "nobody uses it here but its tests"
)]

#[path = "../../src/journal/mapped.rs"]
mod mapped;
