//! Sockets that are listened on: bound here, or passed by systemd.

use std::io::ErrorKind::ConnectionRefused;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::{fmt, fs, io};

use listenfd::ListenFd;
use socket2::{Domain, SockRef, Type};

use crate::config::{Address, Config, Place, passed_socket_names};

/// Connections that may wait to be taken: a mailing's first minute opens many at once, and one that
/// finds no room waits a second. The system's limit applies too.
const BACKLOG: i32 = 4_096;

/// Answers that a reader has not taken are kept by the system up to this, or a few times as much;
/// most pages have a tenth of it.
const UNTAKEN_BYTES_MAX: usize = 64 << 10;

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
    /// Whether there is none at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.public.is_empty() && self.control.is_empty()
    }
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
        listeners.passed_agree(config)?;
        if listeners.public.is_empty() && config.role.answers() {
            let secure = config.tls.is_some() || config.acme.is_some();
            for address in &config.listen {
                let others = &config.listen;
                let listener = bind("listen", address, others, secure, config.socket_mode)?;
                listeners.public.push(listener);
            }
        }
        if listeners.control.is_empty() {
            let secure = config.control_tls.is_some();
            let listener = bind("control", &config.control, &[], secure, config.socket_mode)?;
            listeners.control.push(listener);
        }
        listeners.public.iter().for_each(Listener::tune);
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

impl Listeners {
    /// What holds for addresses that are configured holds for sockets that are passed.
    fn passed_agree(&self, config: &Config) -> Result<(), BindError> {
        let refuse = |listener: &Listener, why: &str, remedy| BindError {
            key: "systemd",
            place: listener.to_string(),
            source: io::Error::other(why),
            remedy,
        };
        if let Some(listener) = self.public.first().filter(|_| !config.role.answers()) {
            // Readers would be taken there, and never answered.
            let remedy = "systemctl disable --now cupel-public.socket";
            return Err(refuse(listener, "role settle answers no readers", remedy));
        }
        for listener in &self.control {
            let loopback = |it: SocketAddr| it.ip().to_canonical().is_loopback();
            let local = listener.address().is_none_or(loopback);
            if !local && !listener.secure && !config.control_without_tls {
                let remedy = "set tls.control_certificate and tls.control_key, or \
                              control_without_tls where the network itself is encrypted";
                return Err(refuse(listener, "no loopback address, and no TLS", remedy));
            }
        }
        let named = |it: &Listener| it.address().is_some_and(|it| !it.ip().is_unspecified());
        match self.public.first().filter(|first| !named(first)) {
            Some(first) if config.base_url.is_none() && config.acme.is_none() => {
                let remedy = "set base_url, such as https://t.example.com";
                Err(refuse(first, "links cannot begin with it", remedy))
            }
            _ => Ok(()),
        }
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

    /// Has answers sent at once on every connection that it takes, for they are written whole; and
    /// keeps little of what a reader does not take, where the system would keep megabytes.
    fn tune(&self) {
        let Socket::Tcp(socket) = &self.socket else {
            return;
        };
        let socket = SockRef::from(socket);
        let tuned = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_send_buffer_size(UNTAKEN_BYTES_MAX));
        if let Err(error) = tuned {
            tracing::debug!(%error, "listen: the system keeps its own measure");
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
    others: &[Address],
    secure: bool,
    mode: u32,
) -> Result<Listener, BindError> {
    let bound = match &address.place {
        Place::Tcp(address) => {
            // `[::]` takes IPv4 too, and so the port of an address that is listed for that.
            let mut others = others.iter().filter_map(Address::tcp);
            let only_v6 = others.any(|it| it.is_ipv4() && it.port() == address.port());
            listen(*address, only_v6).map(Socket::Tcp)
        }
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

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Not SO_REUSEPORT: a second server on a port must be told, not share its connections.
    socket.set_reuse_address(true)?;
    if only_v6 && address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes the place of a socket file that a killed process left; never of one that is in use, and
/// never of another kind of file.
fn listen_on_file(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let left = fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    let refused = || UnixStream::connect(path).is_err_and(|why| why.kind() == ConnectionRefused);
    if left && refused() {
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(socket)
}
