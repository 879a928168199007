//! Where a listener takes connections, and what tracked links begin with.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use url::Url;

use crate::domain::destination::usable_host;

/// Where connections are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Address and port.
    Tcp(SocketAddr),
    /// Socket file.
    Unix(PathBuf),
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where.
    pub place: Place,
    /// Clear text, also where there is a certificate.
    pub plain: bool,
}

impl Address {
    /// Reads `host:port`, `http://host:port` or `unix:/path`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(format!(
                    "{text:?} is no socket file such as unix:/run/cupel/public.sock"
                ));
            }
            return Ok(Self {
                place: Place::Unix(PathBuf::from(path)),
                plain: true,
            });
        }
        let (address, plain) = match text.strip_prefix("http://") {
            Some(address) => (address.trim_end_matches('/'), true),
            None => (text, false),
        };
        let found = address
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next());
        let place = found.map(Place::Tcp).ok_or_else(|| {
            format!("{text:?} is not an address such as 127.0.0.1:8080, [::1]:8080 or unix:/path")
        })?;
        Ok(Self { place, plain })
    }

    /// The address and port, if it has one.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Scheme, host and port, without a slash at the end.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let wrong =
        || format!("{text:?} is not scheme, host and port only, such as https://t.example.com");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && usable_host(&url)
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if plain {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(wrong())
    }
}

/// A host, and a port where it is not the scheme's own, as a Host header names them; in lower case.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let host = text.to_ascii_lowercase();
    if host.ends_with(":80") || host.ends_with(":443") {
        return Err(format!(
            "{text:?} names a port that browsers leave out: leave it out too"
        ));
    }
    let url = Url::parse(&format!("http://{host}")).ok();
    // What is not a host alone is read as more.
    match url.filter(|url| usable_host(url) && url.authority() == host) {
        Some(_) => Ok(host),
        None => Err(format!(
            "{text:?} is no host such as t.example.com or t.example.com:8443"
        )),
    }
}
