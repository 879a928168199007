//! The doors as proxies and attackers find them: sockets of every kind, TLS, forwarding headers and
//! PROXY protocol, framing, slow clients, and the real proxies with the files of `contrib/`.

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

mod authority;
mod files;
mod forwarded;
mod framing;
mod proxies;
mod proxy_header;
mod slow;
mod sockets;
mod through;
mod tls;
mod tricks;
mod wire;
