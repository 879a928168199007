//! Sockets that are listened on: bound here, or passed by systemd.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs, io};

use listenfd::ListenFd;
use socket2::{Domain, SockRef, Type};

use crate::config::{Address, Config, Place, passed_socket_names};

/// Connections that may wait to be taken: a mailing's first minute opens many at once, and one that
/// finds no room waits a second. The system's limit applies too.
const BACKLOG: i32 = 4_096;

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {place}: {source}; {remedy}")]
pub struct BindError {
    key: &'static str,
    place: String,
    source: io::Error,
    remedy: &'static str,
}

/// A socket that takes connections.
#[derive(Debug)]
pub enum Socket {
    /// Of an address and port.
    Tcp(TcpListener),
    /// Of a file.
    Unix(UnixListener),
}

/// A socket, and whether TLS is spoken on it.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: Socket,
    /// Whether connections begin with a handshake.
    pub secure: bool,
}

/// Every socket of the server.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For readers.
    pub public: Vec<Listener>,
    /// For API, metrics and health.
    pub control: Vec<Listener>,
}

impl Listeners {
    /// Binds what the configuration names, or takes what systemd passes in its place.
    ///
    /// # Errors
    /// An address is in use, or is not ours.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let mut listeners = Self::passed(config).map_err(|source| BindError {
            key: "systemd",
            place: "a socket that was passed".to_owned(),
            source,
            remedy: "pass stream sockets, named public and control",
        })?;
        if listeners.public.is_empty() {
            let secure = config.tls.is_some() || config.acme.is_some();
            for address in &config.listen {
                let listener = bind("listen", address, secure, config.socket_mode)?;
                listeners.public.push(listener);
            }
        }
        if listeners.control.is_empty() {
            let secure = config.control_tls.is_some();
            let listener = bind("control", &config.control, secure, config.socket_mode)?;
            listeners.control.push(listener);
        }
        for listener in &listeners.public {
            if let Socket::Tcp(socket) = &listener.socket {
                give_up_on_stalled(socket, config.http.stalled);
            }
        }
        Ok(listeners)
    }

    fn passed(config: &Config) -> io::Result<Self> {
        let names = passed_socket_names();
        let mut passed = ListenFd::from_env();
        let mut listeners = Self::default();
        for at in 0..passed.len() {
            let control = match names.get(at).map(String::as_str) {
                Some("control") => true,
                Some("public") => false,
                // Nobody named them: the first is for readers.
                _ => at > 0,
            };
            let configured = if control {
                config.control_tls.is_some()
            } else {
                config.tls.is_some() || config.acme.is_some()
            };
            let listener = match passed.take_tcp_listener(at) {
                Ok(Some(socket)) => Listener {
                    secure: configured && !in_clear(config, &socket),
                    socket: Socket::Tcp(socket),
                },
                _ => match passed.take_unix_listener(at)? {
                    Some(socket) => Listener {
                        socket: Socket::Unix(socket),
                        secure: false,
                    },
                    None => continue,
                },
            };
            let list = if control {
                &mut listeners.control
            } else {
                &mut listeners.public
            };
            list.push(listener);
        }
        Ok(listeners)
    }
}

/// Whether the configuration says of a passed socket's address that it speaks clear text.
fn in_clear(config: &Config, socket: &TcpListener) -> bool {
    let port = socket.local_addr().map(|address| address.port());
    let named = config
        .listen
        .iter()
        .filter(|it| it.plain)
        .filter_map(Address::tcp);
    port.is_ok_and(|port| named.into_iter().any(|it| it.port() == port))
}

impl Listener {
    /// Its address, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Of a socket that is bound already, in clear text.
    #[must_use]
    pub const fn clear(socket: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            secure: false,
        }
    }

    /// What URLs of it begin with.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(socket) => match socket.local_addr() {
                Ok(address) => write!(f, "{}://{address}", self.scheme()),
                Err(_) => f.write_str("a socket without an address"),
            },
            Socket::Unix(socket) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                write!(f, "unix:{}", path.unwrap_or(Path::new("?")).display())
            }
        }
    }
}

fn bind(
    key: &'static str,
    address: &Address,
    secure: bool,
    mode: u32,
) -> Result<Listener, BindError> {
    let bound = match &address.place {
        Place::Tcp(address) => listen(*address).map(Socket::Tcp),
        Place::Unix(path) => listen_on_file(path, mode).map(Socket::Unix),
    };
    let socket = bound.map_err(|source| BindError {
        key,
        place: address.place.to_string(),
        source,
        remedy: "choose another address with the flag of that name",
    })?;
    Ok(Listener {
        socket,
        secure: secure && !address.plain,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Not SO_REUSEPORT: a second server on a port must be told, not share its connections.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes the place of a socket file that a killed process left; never of one that is in use, and
/// never of another kind of file.
fn listen_on_file(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let left = fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    if left && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(socket)
}

/// Connections that a listener takes inherit this: the system closes one whose peer takes nothing
/// of what was sent, which no timer of ours sees.
fn give_up_on_stalled(socket: &TcpListener, after: Duration) {
    if let Err(error) = SockRef::from(socket).set_tcp_user_timeout(Some(after)) {
        tracing::warn!(%error, "listen: readers that take nothing will not be cut off");
    }
}
