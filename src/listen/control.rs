//! The control listener: an actix-web App on every socket that it has.

use std::io;
use std::path::Path;
use std::sync::Arc;

use actix_server::Server;
use actix_web::rt::net::UnixStream;
use actix_web::{App, HttpServer, web as actix};

use crate::web::{self, LocalSocket, Parts};

use super::certificates::Certificates;
use super::sockets::{Listener, Socket};

/// Threads of the control listener.
const WORKERS: usize = 2;

/// Serves API, metrics and health on these sockets until it is stopped. Who comes through the
/// socket file `local` needs no key.
///
/// # Errors
/// A socket cannot be used.
pub fn serve_control(
    listeners: Vec<Listener>,
    local: &Path,
    parts: &actix::Data<Parts>,
    certificates: Option<&Arc<Certificates>>,
) -> io::Result<Server> {
    let (routes, local) = (parts.clone(), local.to_owned());
    let routes = move || App::new().configure(web::control(routes.clone()));
    let mut server = HttpServer::new(routes)
        .on_connect(move |connection, data| {
            let socket = connection.downcast_ref::<UnixStream>();
            let address = socket.and_then(|socket| socket.local_addr().ok());
            if address.is_some_and(|address| address.as_pathname() == Some(&local)) {
                data.insert(LocalSocket);
            }
        })
        .workers(WORKERS)
        .shutdown_timeout(parts.config.http.stop.as_secs())
        .disable_signals();
    for listener in listeners {
        let tls = certificates.filter(|_| listener.secure);
        server = match (listener.socket, tls) {
            (Socket::Tcp(socket), Some(tls)) => {
                let tls = tls.server_config().map_err(io::Error::other)?;
                server.listen_rustls_0_23(socket, tls)?
            }
            // API keys would cross the network in clear text.
            (Socket::Tcp(_), None) if listener.secure => {
                return Err(io::Error::other("the control listener has no certificate"));
            }
            (Socket::Tcp(socket), None) => server.listen(socket)?,
            (Socket::Unix(socket), _) => server.listen_uds(socket)?,
        };
    }
    Ok(server.run())
}
