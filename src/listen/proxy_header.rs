//! The header by which a proxy says who has connected to it: PROXY protocol, versions 1 and 2.
//!
//! Taken only where it is configured, only from trusted peers, and whole: whoever sends something
//! else is closed. It is read to its last byte and no further.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest header of version 1, with its line break.
const V1_BYTES_MAX: usize = 107;
/// Longest that version 2 may be after its length: addresses and everything that is said of TLS.
const V2_BYTES_MAX: usize = 4_096;
/// Type of what version 2 says of the reader's TLS, and the bit of its first byte that says that
/// there was any.
const SSL: u8 = 0x20;
const SSL_CLIENT: u8 = 0x01;

/// Who connected to a proxy that cannot say it: the address of nobody, which no network but the
/// whole contains. The proxy's own would lend the reader the trust that is the proxy's.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Who has connected to the proxy; `None` if it speaks for itself, to see whether we live.
    pub(super) peer: Option<SocketAddr>,
    /// Whether it was over TLS.
    pub(super) secure: bool,
}

const ITSELF: Said = Said {
    peer: None,
    secure: false,
};

/// Reads the header that a connection begins with.
///
/// # Errors
/// There is none, or it is wrong.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Said> {
    let mut header = vec![0; v2::PROTOCOL_PREFIX.len()];
    io.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        let mut rest = [0; 4];
        io.read_exact(&mut rest).await?;
        let [_, _, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > V2_BYTES_MAX {
            return Err(wrong());
        }
        header.extend(rest);
        let begun = header.len();
        header.resize(begun + length, 0);
        io.read_exact(header.get_mut(begun..).unwrap_or_default())
            .await?;
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        while !header.ends_with(b"\r\n") {
            if header.len() >= V1_BYTES_MAX {
                return Err(wrong());
            }
            header.push(io.read_u8().await?);
        }
    }
    said(&header).ok_or_else(wrong)
}

fn wrong() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "no PROXY header")
}

/// What a whole header says; `None` if it is none.
fn said(header: &[u8]) -> Option<Said> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Some(match header.addresses {
            v1::Addresses::Unknown => from(NOBODY),
            v1::Addresses::Tcp4(it) => from((it.source_address, it.source_port)),
            v1::Addresses::Tcp6(it) => from((it.source_address, it.source_port)),
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Some(ITSELF),
        HeaderResult::V2(Ok(header)) => {
            let secure = header.tlvs().flatten().any(|it| {
                it.kind == SSL && it.value.first().is_some_and(|bits| bits & SSL_CLIENT != 0)
            });
            let said = match header.addresses {
                v2::Addresses::IPv4(it) => from((it.source_address, it.source_port)),
                v2::Addresses::IPv6(it) => from((it.source_address, it.source_port)),
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => from(NOBODY),
            };
            Some(Said { secure, ..said })
        }
        _ => None,
    }
}

fn from(peer: impl Into<SocketAddr>) -> Said {
    Said {
        peer: Some(peer.into()),
        secure: false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::rt::System;

    use super::*;

    /// What a connection's first bytes say, and how many of them are left.
    fn read_from(bytes: &[u8]) -> Option<(Said, usize)> {
        let mut rest = bytes;
        let said = System::new().block_on(read(&mut rest)).ok()?;
        Some((said, rest.len()))
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, body].concat()
    }

    #[test]
    fn the_reader_is_who_the_header_names() {
        let ipv4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x11, 0x11, 0, 80];
        let tls = [&ipv4[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        let no_tls = [&ipv4[..], &[0x20, 0, 5, 0, 0, 0, 0, 0]].concat();
        for (header, peer, secure) in [
            (
                b"PROXY TCP4 203.0.113.9 10.0.0.1 4369 80\r\n".to_vec(),
                "203.0.113.9:4369",
                false,
            ),
            (
                b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n".to_vec(),
                "[2001:db8::9]:1",
                false,
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), "0.0.0.0:0", false),
            (
                b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
                "0.0.0.0:0",
                false,
            ),
            (v2(0x21, 0x00, &[]), "0.0.0.0:0", false),
            (v2(0x21, 0x31, &[0; 216]), "0.0.0.0:0", false),
            (v2(0x21, 0x11, &ipv4), "203.0.113.9:4369", false),
            (v2(0x21, 0x11, &tls), "203.0.113.9:4369", true),
            (v2(0x21, 0x11, &no_tls), "203.0.113.9:4369", false),
            (v2(0x20, 0x00, &[]), "", false),
            (v2(0x20, 0x11, &ipv4), "", false),
        ] {
            let sent = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let (said, left) = read_from(&sent).unwrap_or_else(|| panic!("{header:?}"));
            assert_eq!(
                said.peer.map(|peer| peer.to_string()).unwrap_or_default(),
                peer
            );
            assert_eq!((said.secure, left), (secure, 16), "{header:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for wrong in [
            b"".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4369".to_vec(),
            b"PROXY TCP4 2001:db8::9 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.999 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 99999 80\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 1\r\n".to_vec(),
            b"PROXY  TCP4 203.0.113.9 10.0.0.1 1 2\r\n".to_vec(),
            b"proxy TCP4 203.0.113.9 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2\n".to_vec(),
            b"PROXY UDP4 203.0.113.9 10.0.0.1 1 2\r\n".to_vec(),
            long,
            v2(0x31, 0x11, &[203, 0, 113, 9, 10, 0, 0, 1, 0, 1, 0, 2]),
            v2(0x2f, 0x11, &[203, 0, 113, 9, 10, 0, 0, 1, 0, 1, 0, 2]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x21, 0x11, &[203, 0, 113, 9]),
            v2(0x21, 0x21, &[0; 12]),
            v2(0x21, 0x11, &[0; 5_000]),
            v2(0x21, 0x11, &[203, 0, 113, 9, 10, 0, 0, 1, 0, 1])[..20].to_vec(),
        ] {
            assert_eq!(read_from(&wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
