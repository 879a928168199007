//! Sockets of both listeners: where they come from, PROXY headers, TLS and its certificates, and
//! how long a connection may take.
//!
//! What stands between a socket and the services of `web/`. It reads no request.

mod acme;
mod certificates;
mod control;
mod pace;
mod patience;
mod proxy_header;
mod public;
mod sockets;

pub use acme::{AcmeError, Authority};
pub use certificates::{About, CertificateError, CertificateFiles, Certificates};
pub use control::serve_control;
pub use public::{Watch, serve_public};
pub use sockets::{BindError, Listener, Listeners, Socket};
