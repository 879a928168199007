//! Who asks: the socket's word, or a trusted proxy's, and never the reader's own.

use std::cell::Cell;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Server, eventually};
use crate::proxies::{Behind, CADDY, HAPROXY, NGINX, Proxy};
use crate::tricks::{TRICKS, long_lists};
use crate::wire::{address, connect, exchange, secure, status};

/// A reader: its network is told apart from the proxies' 127.0.0.0/24.
pub(crate) const READER: &str = "127.0.5.1";
pub(crate) const READERS: &str = "127.0.5.0/24";
/// Where proxies connect from.
pub(crate) const PROXY: &str = "127.0.0.1";
pub(crate) const PROXIES: &str = "127.0.0.0/24";

/// Trusts the proxies and nobody else; one worker records in order.
pub(crate) const TRUSTING: &str = "base_url = \"https://localhost\"\n\
    trusted_proxies = [\"127.0.0.1\"]\nworkers = 1\n";

/// Links, one for each thing that is tried, so that its hits can be told.
pub(crate) struct Probes<'s> {
    server: &'s Server,
    campaign: u64,
    token: String,
    made: Cell<u64>,
}

impl<'s> Probes<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        let campaign = server.campaign();
        let token = server.mint(campaign, &["reader"])[0].token.clone();
        Self {
            server,
            campaign,
            token,
            made: Cell::new(0),
        }
    }

    /// Path of a link that nobody has clicked.
    pub(crate) fn next(&self) -> String {
        let made = self.made.get() + 1;
        self.made.set(made);
        let link = json!({"url": format!("https://shop.example/{made}")});
        let number = self.server.link(self.campaign, link);
        format!("/c/{}/{number}", self.token)
    }

    /// Every event so far; `click` makes one that must come last.
    pub(crate) fn events(&self, click: impl FnOnce(&str)) -> Vec<Value> {
        let last = self.next();
        click(&last);
        let all = || {
            self.server
                .all_events(&format!("&campaign={}", self.campaign))
        };
        eventually("the last click", all, |events| {
            !hits(events, &last).is_empty()
        })
    }
}

/// Events of the link with this path.
pub(crate) fn hits<'e>(events: &'e [Value], path: &str) -> Vec<&'e Value> {
    let number: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
    let of_it = events.iter().filter(|event| event["link"] == number);
    of_it.collect()
}

/// What an event says of its reader.
pub(crate) fn seen(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["network"]["prefix"]), text(&event["scheme"]))
}

pub(crate) fn head(path: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

/// Everything that is tried: head lines, and what they say where they are believed.
fn tried() -> Vec<(Vec<String>, &'static str, &'static str)> {
    let tricks = TRICKS.iter().map(|trick| {
        let lines = trick.lines.iter().map(|line| (*line).to_owned()).collect();
        (lines, trick.network, trick.scheme)
    });
    let long = long_lists().into_iter();
    let long = long.map(|line| (vec![line], "203.0.113.0/24", "http"));
    tricks.chain(long).collect()
}

/// Tries everything by `ask`; what was recorded must be what `expected` says, and how many were
/// recorded.
fn try_all(
    server: &Server,
    name: &'static str,
    ask: impl Fn(&str) -> String,
    expected: impl Fn(&'static str, &'static str) -> (String, String),
) -> usize {
    let probes = Probes::new(server);
    let tried: Vec<_> = tried()
        .into_iter()
        .map(|(lines, network, scheme)| {
            let path = probes.next();
            let answer = ask(&head(&path, &lines));
            (path, lines, expected(network, scheme), status(&answer))
        })
        .collect();
    let events = probes.events(|last| {
        assert_eq!(status(&ask(&head(last, &[]))), 302);
    });
    let mut recorded = 0;
    for (path, lines, expected, status) in tried {
        let hits = hits(&events, &path);
        // A proxy may refuse what it does not like, but then nothing is recorded.
        let count = usize::from(status == 302);
        assert_eq!(hits.len(), count, "{name}, {lines:?}: {status}");
        assert!(
            status == 302 || (400..500).contains(&status),
            "{name}, {lines:?}: {status}"
        );
        if let Some(hit) = hits.first() {
            assert_eq!(seen(hit), expected, "{name}, {lines:?}");
        }
        recorded += count;
    }
    recorded
}

fn from(who: &'static str, to: SocketAddr) -> impl Fn(&str) -> String {
    move |request| exchange(connect(who, to), request.as_bytes())
}

#[test]
fn nobody_but_a_trusted_peer_speaks_for_another() {
    let server = Server::with(TRUSTING, &[]);
    let door = address(&server.public);
    let all = tried().len();
    assert!(all >= 40, "{all} tricks");
    let socket = |_, _| (READERS.to_owned(), "http".to_owned());
    assert_eq!(try_all(&server, "direct", from(READER, door), socket), all);
    let believed = |network: &str, scheme: &str| {
        let network = if network.is_empty() { PROXIES } else { network };
        (network.to_owned(), scheme.to_owned())
    };
    assert_eq!(
        try_all(&server, "trusted", from(PROXY, door), believed),
        all
    );
}

#[test]
fn rfc_7239_is_read_where_it_is_named_and_nothing_else_is() {
    let configuration = format!("{TRUSTING}forwarded_header = \"forwarded\"\n");
    let server = Server::with(&configuration, &[]);
    let door = address(&server.public);
    let probes = Probes::new(&server);
    let tried = [
        (
            "Forwarded: for=203.0.113.9;proto=https",
            "203.0.113.0/24",
            "https",
        ),
        (
            "Forwarded: for=\"[2001:db8::1]:4711\"",
            "2001:db8::/48",
            "http",
        ),
        (
            "Forwarded: for=198.51.100.1, For=203.0.113.9",
            "203.0.113.0/24",
            "http",
        ),
        (
            "Forwarded: for=198.51.100.1;proto=https, for=203.0.113.9",
            "203.0.113.0/24",
            "http",
        ),
        (
            "Forwarded: for=203.0.113.9, for=127.0.0.1",
            "203.0.113.0/24",
            "http",
        ),
        (
            "Forwarded: for=\"198.51.100.1, for=203.0.113.9",
            "203.0.113.0/24",
            "http",
        ),
        ("Forwarded: for=_hidden, proto=https", PROXIES, "https"),
        ("Forwarded: for=unknown", PROXIES, "http"),
        ("Forwarded: by=203.0.113.9", PROXIES, "http"),
        ("Forwarded: nonsense", PROXIES, "http"),
        ("X-Forwarded-For: 203.0.113.9", PROXIES, "http"),
        ("X-Forwarded-Proto: https", PROXIES, "http"),
    ]
    .map(|(line, network, scheme)| (probes.next(), line, network, scheme));
    for (path, line, ..) in &tried {
        for who in [PROXY, READER] {
            let request = head(path, &[(*line).to_owned()]);
            assert_eq!(status(&from(who, door)(&request)), 302, "{line}");
        }
    }
    let events = probes.events(|last| drop(from(PROXY, door)(&head(last, &[]))));
    for (path, line, network, scheme) in tried {
        let hits: Vec<_> = hits(&events, &path).into_iter().map(seen).collect();
        let expected = [(network, scheme), (READERS, "http")];
        let expected = expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
        assert_eq!(hits, expected, "{line}");
    }
}

/// Through a proxy with its file of `contrib/`, the reader is who it is, whatever it says.
fn through(proxy: &Proxy, name: &'static str, least: usize) {
    let server = Server::with(TRUSTING, &[]);
    let behind = Behind::start(proxy, address(&server.public));
    let config = behind.authority.raw(&["http/1.1"]);
    let ask = |request: &str| {
        let stream = secure(connect(READER, behind.https), &config);
        exchange(stream, request.as_bytes())
    };
    let expected = |_, _| (READERS.to_owned(), "https".to_owned());
    let recorded = try_all(&server, name, ask, expected);
    println!(
        "{name}: {recorded} of {} came through, 0 accepted",
        tried().len()
    );
    assert!(recorded >= least, "{name}: only {recorded} came through");
}

#[test]
fn no_trick_passes_nginx() {
    through(&NGINX, "nginx", 60);
}

#[test]
fn no_trick_passes_haproxy() {
    through(&HAPROXY, "haproxy", 60);
}

#[test]
fn no_trick_passes_caddy() {
    through(&CADDY, "caddy", 60);
}
