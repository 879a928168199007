//! The PROXY protocol: where it is configured, and only there.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::authority::Authority;
use crate::forwarded::{PROXIES, PROXY, Probes, READER, READERS, TRUSTING, head, hits, seen};
use crate::harness::Server;
use crate::proxies::{Behind, HAPROXY_PROTOCOL, NGINX_STREAM, Proxy};
use crate::tricks::TRICKS;
use crate::wire::{address, connect, exchange, secure, status};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const IPV4: [u8; 12] = [203, 0, 113, 9, 127, 0, 0, 1, 0x11, 0x11, 0, 80];
const DOC: &str = "203.0.113.0/24";
/// Whom a proxy cannot name.
const NOBODY: &str = "0.0.0.0/24";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, body].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// Headers that are right: network and scheme that are recorded.
fn right() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut ipv6 = [0; 36];
    ipv6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    let with = |extra: Vec<u8>| v2(0x21, 0x11, &[IPV4.to_vec(), extra].concat());
    let tls = tlv(0x20, &[1, 0, 0, 0, 0]);
    let clear = tlv(0x20, &[0, 0, 0, 0, 0]);
    vec![
        (
            b"PROXY TCP4 203.0.113.9 127.0.0.1 4369 80\r\n".to_vec(),
            DOC,
            "http",
        ),
        (
            b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n".to_vec(),
            "2001:db8::/48",
            "http",
        ),
        (
            b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n".to_vec(),
            DOC,
            "http",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), NOBODY, "http"),
        (
            b"PROXY UNKNOWN 203.0.113.9 127.0.0.1 1 2\r\n".to_vec(),
            NOBODY,
            "http",
        ),
        (v2(0x21, 0x11, &IPV4), DOC, "http"),
        (v2(0x21, 0x21, &ipv6), "2001:db8::/48", "http"),
        (with(tls.clone()), DOC, "https"),
        (with(clear), DOC, "http"),
        (with(tlv(0x02, b"evil.example")), DOC, "http"),
        (with([tlv(0x04, &[0; 300]), tls].concat()), DOC, "https"),
        (with(vec![0x20, 0, 200, 1]), DOC, "http"),
        // The proxy itself, to see whether we live.
        (v2(0x20, 0x00, &[]), PROXIES, "http"),
        (v2(0x20, 0x11, &IPV4), PROXIES, "http"),
        (v2(0x21, 0x00, &[]), NOBODY, "http"),
        (v2(0x21, 0x31, &[b'x'; 216]), NOBODY, "http"),
    ]
}

/// Headers that are none, or wrong: the connection is closed without an answer.
fn wrong() -> Vec<Vec<u8>> {
    let text: &[&[u8]] = &[
        b"",
        b"PROXY TCP4 2001:db8::9 ::1 1 2\r\n",
        b"PROXY TCP6 203.0.113.9 127.0.0.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.999 127.0.0.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 127.0.0.1 99999 80\r\n",
        b"PROXY TCP4 203.0.113.9 127.0.0.1 1\r\n",
        b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\n",
        b"PROXY  TCP4 203.0.113.9 127.0.0.1 1 2\r\n",
        b"proxy TCP4 203.0.113.9 127.0.0.1 1 2\r\n",
        b" PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n",
        b"PROXY UDP4 203.0.113.9 127.0.0.1 1 2\r\n",
        b"PROXY\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
    ];
    let mut all: Vec<_> = text.iter().map(|it| it.to_vec()).collect();
    all.push([b"PROXY TCP4 ".as_slice(), &[b'1'; 300], b"\r\n"].concat());
    all.push(v2(0x31, 0x11, &IPV4));
    all.push(v2(0x01, 0x11, &IPV4));
    all.push(v2(0x2f, 0x11, &IPV4));
    all.push(v2(0x21, 0x41, &IPV4));
    all.push(v2(0x21, 0x21, &IPV4));
    all.push(v2(0x21, 0x11, &IPV4[..8]));
    all.push(v2(0x21, 0x11, &[]));
    all.push(v2(0x21, 0x11, &[0; 5_000]));
    all
}

fn send(who: &str, to: SocketAddr, header: &[u8], path: &str, lines: &[String]) -> String {
    let request = [header, head(path, lines).as_bytes()].concat();
    exchange(connect(who, to), &request)
}

#[test]
fn a_header_is_taken_from_trusted_peers_whole_or_not_at_all() {
    let configuration = format!("{TRUSTING}proxy_protocol = true\n[http]\nhead_seconds_max = 1\n");
    let server = Server::with(&configuration, &[]);
    let door = address(&server.public);
    let probes = Probes::new(&server);
    let spoof = ["X-Forwarded-For: 198.51.100.1".to_owned()];
    let named = b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n";
    let mut taken = Vec::new();
    for (header, network, scheme) in right() {
        let path = probes.next();
        // A reader's own word is not taken beside it; what the proxy says for itself is.
        let lines = if network == PROXIES { &[][..] } else { &spoof };
        let answer = send(PROXY, door, &header, &path, lines);
        assert_eq!(status(&answer), 302, "{}", header.escape_ascii());
        // Nobody else may send even the best of headers.
        assert_eq!(send(READER, door, &header, &path, &[]), "");
        // Nor is a second one anything but a bad request.
        let twice = [&header[..], named].concat();
        assert_eq!(status(&send(PROXY, door, &twice, &path, &[])), 400);
        taken.push((header, path, (network.to_owned(), scheme.to_owned())));
    }
    let refused: Vec<_> = wrong()
        .into_iter()
        .map(|header| {
            let path = probes.next();
            let answer = send(PROXY, door, &header, &path, &[]);
            assert_eq!(answer, "", "{}", header.escape_ascii());
            path
        })
        .collect();
    for cut in 1..named.len() {
        // Silent in the middle: closed when the head's time is over.
        if cut % 10 == 0 {
            assert_eq!(exchange(connect(PROXY, door), &named[..cut]), "");
        }
    }
    let events = probes.events(|last| {
        assert_eq!(status(&send(PROXY, door, named, last, &[])), 302);
    });
    for (header, path, expected) in taken {
        let hits: Vec<_> = hits(&events, &path).into_iter().map(seen).collect();
        assert_eq!(hits, [expected], "{}", header.escape_ascii());
    }
    for path in refused {
        assert!(hits(&events, &path).is_empty());
    }
}

#[test]
fn where_it_is_not_configured_a_header_is_a_bad_request() {
    let server = Server::with(TRUSTING, &[]);
    let door = address(&server.public);
    let probes = Probes::new(&server);
    let headers = right().into_iter().map(|(header, ..)| header);
    // An empty one is none.
    let headers = headers.chain(wrong()).filter(|header| !header.is_empty());
    let tried: Vec<_> = headers
        .map(|header| {
            let path = probes.next();
            for who in [PROXY, READER] {
                let answer = send(who, door, &header, &path, &[]);
                assert_eq!(status(&answer), 400, "{}: {answer}", header.escape_ascii());
            }
            path
        })
        .collect();
    let events = probes.events(|last| drop(send(PROXY, door, b"", last, &[])));
    for path in tried {
        assert!(hits(&events, &path).is_empty());
    }
}

/// Through a proxy that speaks it, with the file of `contrib/`.
fn through(proxy: &Proxy, server: &Server, authority: Option<&Authority>) {
    let behind = Behind::start(proxy, address(&server.public));
    let trusted = authority.unwrap_or(&behind.authority).raw(&["http/1.1"]);
    let probes = Probes::new(server);
    let ask = |path: &str, lines: &[String]| {
        let stream = secure(connect(READER, behind.https), &trusted);
        exchange(stream, head(path, lines).as_bytes())
    };
    let mut tried = Vec::new();
    for trick in TRICKS {
        let path = probes.next();
        let lines: Vec<_> = trick.lines.iter().map(|line| (*line).to_owned()).collect();
        tried.push((status(&ask(&path, &lines)), path, trick.lines));
    }
    // Headers of the reader's own, before and inside TLS.
    for header in right().into_iter().map(|(header, ..)| header) {
        let path = probes.next();
        let mut stream = connect(READER, behind.https);
        let _sent = stream.write_all(&header);
        let mut stream = secure(stream, &trusted);
        let request = head(&path, &[]);
        let mut answer = [0; 16];
        let sent = stream.write_all(request.as_bytes());
        let answered = sent.and_then(|()| stream.read(&mut answer));
        assert!(!answer.starts_with(b"HTTP/1.1 302"), "{answered:?}");
        let inside = secure(connect(READER, behind.https), &trusted);
        let request = [&header[..], request.as_bytes()].concat();
        let answer = status(&exchange(inside, &request));
        tried.push((answer, path, &["PROXY inside"]));
    }
    let events = probes.events(|last| assert_eq!(status(&ask(last, &[])), 302));
    let mut recorded = 0;
    for (status, path, lines) in tried {
        let hits = hits(&events, &path);
        assert_eq!(
            hits.len(),
            usize::from(status == 302),
            "{lines:?}: {status}"
        );
        for hit in hits {
            assert_eq!(
                seen(hit),
                (READERS.to_owned(), "https".to_owned()),
                "{lines:?}"
            );
            recorded += 1;
        }
    }
    println!("{recorded} came through, 0 accepted");
    assert!(recorded >= 50, "only {recorded} came through");
}

#[test]
fn haproxy_names_readers_and_their_tls() {
    let server = Server::with(&format!("{TRUSTING}proxy_protocol = true\n"), &[]);
    through(&HAPROXY_PROTOCOL, &server, None);
}

#[test]
fn nginx_names_readers_and_leaves_tls_to_cupel() {
    let own = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (chain, key) = authority.issue("t.example").write(own.path());
    let configuration =
        format!("{TRUSTING}proxy_protocol = true\n[tls]\ncertificate = {chain:?}\nkey = {key:?}\n");
    let server = Server::with(&configuration, &[]);
    through(&NGINX_STREAM, &server, Some(&authority));
}
