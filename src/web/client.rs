//! Who asks, and over which scheme: the socket's word, or a trusted proxy's.
//!
//! Forwarding headers are believed only from peers in `trusted_proxies`, and of those only the
//! right-most entries, which such a proxy wrote itself. Everything further left is hearsay, and so
//! is every header but the one that `forwarded_header` names: the proxy passes those on unread.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};

use crate::config::{ForwardedHeader, TrustedProxies};
use crate::domain::hit::Scheme;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Client address and scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) scheme: Scheme,
}

impl Client {
    /// Of a request over `scheme` from `peer`,
    /// that has no address if it came through a socket file.
    pub(super) fn of(
        peer: Option<IpAddr>,
        scheme: Scheme,
        headers: &HeaderMap,
        trusted: &TrustedProxies,
    ) -> Self {
        let believed = peer.map_or(trusted.unix, |peer| trusted.contains(peer.to_canonical()));
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.to_canonical());
        if !believed {
            return Self {
                address: peer,
                scheme,
            };
        }
        let mut address = peer;
        for hop in hops(headers, trusted.header).iter().rev() {
            let Some(hop) = hop_address(hop) else { break };
            address = hop;
            if !trusted.contains(hop) {
                break;
            }
        }
        Self {
            address,
            scheme: forwarded_scheme(headers, trusted.header).unwrap_or(scheme),
        }
    }
}

/// Every element of a header's values, in their order. What is no text stays in its place, as
/// something that nobody can read: it must not bring what is beside it to the front.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> {
    headers.get_all(name).flat_map(|value| {
        let values = value.as_bytes().split(|byte| *byte == b',');
        let values = values.map(|value| String::from_utf8_lossy(value).trim().to_owned());
        values.collect::<Vec<_>>()
    })
}

/// Every hop that is named, from the far end to the near one.
fn hops(headers: &HeaderMap, by: ForwardedHeader) -> Vec<String> {
    match by {
        ForwardedHeader::XForwardedFor => elements(headers, X_FORWARDED_FOR).collect(),
        ForwardedHeader::Forwarded => elements(headers, FORWARDED)
            .map(|element| parameter(&element, "for").unwrap_or_default())
            .collect(),
    }
}

fn forwarded_scheme(headers: &HeaderMap, by: ForwardedHeader) -> Option<Scheme> {
    let named = match by {
        ForwardedHeader::XForwardedFor => elements(headers, X_FORWARDED_PROTO).last(),
        ForwardedHeader::Forwarded => elements(headers, FORWARDED)
            .last()
            .and_then(|element| parameter(&element, "proto")),
    };
    match named?.to_ascii_lowercase().as_str() {
        "https" => Some(Scheme::Https),
        "http" => Some(Scheme::Http),
        _ => None,
    }
}

/// A parameter of one element of `Forwarded`, without its quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let named = key.trim().eq_ignore_ascii_case(name);
        named.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bracketed = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(address) => address.parse().ok().map(IpAddr::V6),
        None => hop.parse::<IpAddr>().ok(),
    };
    let with_port = || hop.parse::<SocketAddr>().ok().map(|it| it.ip());
    address.or_else(with_port).map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, sent: &[(&'static str, &'static str)]) -> (String, Scheme) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let trusted = TrustedProxies {
            networks: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            unix: true,
            header: match peer {
                "::1" => ForwardedHeader::Forwarded,
                _ => ForwardedHeader::XForwardedFor,
            },
        };
        // None of them has an address.
        let peer = peer.parse().ok();
        let client = Client::of(peer, Scheme::Http, &headers, &trusted);
        (client.address.to_string(), client.scheme)
    }

    #[test]
    fn only_a_trusted_peer_speaks_for_another_and_only_for_the_nearest() {
        const XFF: &str = "x-forwarded-for";
        for (peer, sent, address) in [
            ("192.0.2.1", [(XFF, "203.0.113.9")].as_slice(), "192.0.2.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            (
                "10.0.0.1",
                &[(XFF, "198.51.100.1, 203.0.113.9")],
                "203.0.113.9",
            ),
            ("10.0.0.1", &[(XFF, "203.0.113.9, 10.0.0.2")], "203.0.113.9"),
            (
                "10.0.0.1",
                &[(XFF, "203.0.113.9"), (XFF, "203.0.113.8")],
                "203.0.113.8",
            ),
            ("10.0.0.1", &[(XFF, "203.0.113.9, unknown")], "10.0.0.1"),
            (
                "10.0.0.1",
                &[(XFF, "203.0.113.9, garbage, 10.0.0.2")],
                "10.0.0.2",
            ),
            ("10.0.0.1", &[(XFF, "[2001:db8::1]:4711")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9:80")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "::ffff:203.0.113.9")], "203.0.113.9"),
            (
                "::1",
                &[("forwarded", "for=198.51.100.1, for=\"[2001:db8::9]:1\"")],
                "2001:db8::9",
            ),
            ("::1", &[("forwarded", "for=_hidden;proto=https")], "::1"),
            (
                "::1",
                &[
                    ("forwarded", "for=\"1.1.1.1"),
                    ("forwarded", "for=192.0.2.9"),
                ],
                "192.0.2.9",
            ),
            // A proxy that writes the one passes the other on.
            ("::1", &[(XFF, "203.0.113.9")], "::1"),
            ("10.0.0.1", &[("forwarded", "for=203.0.113.9")], "10.0.0.1"),
            (
                "10.0.0.1",
                &[(XFF, "é"), ("forwarded", "for=203.0.113.9")],
                "10.0.0.1",
            ),
            ("10.0.0.1", &[(XFF, "é, 203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "203.0.113.9, é")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "[2001:db8::1]9.9.9.9")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "[203.0.113.9]")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9,")], "10.0.0.1"),
            ("10.0.0.1", &[("x-real-ip", "203.0.113.9")], "10.0.0.1"),
            ("socket file", &[(XFF, "203.0.113.9")], "203.0.113.9"),
            ("socket file", &[], "0.0.0.0"),
        ] {
            assert_eq!(client(peer, sent).0, address, "{peer} {sent:?}");
        }
    }

    #[test]
    fn the_scheme_is_what_the_nearest_trusted_proxy_spoke() {
        const XFP: &str = "x-forwarded-proto";
        for (peer, sent, scheme) in [
            ("192.0.2.1", [(XFP, "https")].as_slice(), Scheme::Http),
            ("10.0.0.1", &[(XFP, "https")], Scheme::Https),
            ("10.0.0.1", &[(XFP, "https, http")], Scheme::Http),
            (
                "::1",
                &[("forwarded", "for=192.0.2.2;proto=https")],
                Scheme::Https,
            ),
            ("::1", &[(XFP, "https")], Scheme::Http),
            ("10.0.0.1", &[("forwarded", "proto=https")], Scheme::Http),
            ("10.0.0.1", &[(XFP, "https"), (XFP, "http")], Scheme::Http),
            ("10.0.0.1", &[(XFP, "gopher")], Scheme::Http),
        ] {
            assert_eq!(client(peer, sent).1, scheme, "{peer} {sent:?}");
        }
    }
}
