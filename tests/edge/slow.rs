//! Slow and silent clients: each is closed in its time, a thousand of them disturb nobody, and
//! nothing of them stays behind.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::authority::Authority;
use crate::forwarded::head;
use crate::harness::{Server, eventually};
use crate::wire::{address, connect, exchange, secure, status};

/// Connections of each kind.
const MANY: usize = 1_000;
/// What a closed connection may take beyond its limit, on a machine that does other things too.
const SLACK: Duration = Duration::from_secs(3);

/// The shortest limits that there are: one second each.
pub(crate) const LIMITS: &str = "[http]\nkeep_alive_seconds = 1\nhead_seconds_max = 1\n\
    body_seconds_max = 1\nstalled_seconds_max = 1\n";
/// Until the next head is there: the keep-alive and the head's time, and a quarter for looking.
const NEXT: Duration = Duration::from_millis(2_500);
const FIRST: Duration = Duration::from_secs(1);

/// These tests count files and time: they take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link to click, and a page's press.
pub(crate) struct Links {
    pub(crate) click: String,
    /// A click that is answered with eight thousand bytes.
    long: String,
    press: String,
}

impl Links {
    pub(crate) fn of(server: &Server) -> Self {
        let campaign = server.campaign();
        server.link(campaign, json!({"url": "https://shop.example/"}));
        server.link(
            campaign,
            json!({"url": "https://shop.example/a", "kind": "action"}),
        );
        let url = format!("https://shop.example/?{}", "x".repeat(8_000));
        server.link(campaign, json!({"url": url}));
        let one = server.mint(campaign, &["reader"])[0].clone();
        Self {
            click: format!("/c/{}/1", one.token),
            long: format!("/c/{}/3", one.token),
            press: format!("/a/{}/{}/2", one.token, one.act(2)),
        }
    }
}

/// Somebody who clicks all the while, on connections of his own, and is never let down.
struct Good {
    over: Arc<AtomicBool>,
    clicks: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Good {
    fn begin(door: SocketAddr, path: &str) -> Self {
        let (over, clicks) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (until, count, path) = (Arc::clone(&over), Arc::clone(&clicks), path.to_owned());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let answer = exchange(connect("127.0.0.1", door), head(&path, &[]).as_bytes());
                assert_eq!(status(&answer), 302, "{answer:?}");
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            over,
            clicks,
            thread,
        }
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.clicks.load(Ordering::Relaxed)
    }
}

fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

/// Memory that is resident, MiB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib >> 10
}

/// Whether the other side has closed: what is there is read, where this client reads, and what is
/// to be sent goes nowhere.
fn is_closed(stream: &mut TcpStream, nudge: &[u8], reads: bool) -> bool {
    let gone = |error: &std::io::Error| error.kind() != ErrorKind::WouldBlock;
    if reads {
        let mut sink = Vec::new();
        // The end of what was sent, or an error that says that there is more to wait for.
        match stream.read_to_end(&mut sink) {
            Err(error) if !gone(&error) => {}
            _ => return true,
        }
    }
    stream.write_all(nudge).is_err_and(|error| gone(&error))
}

/// What a kind of slow client does.
struct Kind<'k> {
    what: &'static str,
    /// Sent at once.
    first: &'k [u8],
    /// Sent again and again afterwards, a little at a time.
    then: &'k [u8],
    /// Whether it reads what it is answered.
    reads: bool,
    within: Duration,
}

/// Opens many connections of a kind, and sees each closed in its time.
fn many(server: &Server, door: SocketAddr, kind: &Kind<'_>) {
    let pid = server.pid();
    let before = files(pid);
    let mut open: Vec<_> = (0..MANY)
        .map(|_| {
            let mut stream = connect("127.0.0.1", door);
            stream.set_nonblocking(true).unwrap();
            // Whoever asks for more than fits waits for nobody.
            let _sent = stream.write_all(kind.first);
            stream
        })
        .collect();
    let (opened, mut most) = (Instant::now(), 0);
    while !open.is_empty() {
        most = most.max(resident(pid));
        assert!(
            opened.elapsed() < kind.within + SLACK,
            "{}: {} of {MANY} are still open",
            kind.what,
            open.len()
        );
        std::thread::sleep(Duration::from_millis(200));
        open.retain_mut(|stream| !is_closed(stream, kind.then, kind.reads));
    }
    let took = opened.elapsed();
    eventually(kind.what, || files(pid), |now| *now <= before + 8);
    println!(
        "{}: {MANY} closed after {took:.1?}, {most} MiB at most",
        kind.what
    );
    assert!(most < 400, "{}: {most} MiB", kind.what);
}

#[test]
fn a_thousand_slow_clients_are_closed_and_disturb_nobody() {
    let _turn = alone();
    // Every hit of theirs is kept.
    let room = "[journal]\nring_slots = 131072\n";
    let server = Server::with(&format!("{LIMITS}{room}"), &[]);
    let door = address(&server.public);
    let links = Links::of(&server);
    let good = Good::begin(door, &links.click);
    let keep_alive = format!("GET {} HTTP/1.1\r\nHost: t\r\n\r\n", links.click);
    let begun = format!("{keep_alive}GET / HTTP/1.1\r\nX: ");
    // Few and large, so that it is patience which is tested, and not the speed of this build.
    let padding = "x".repeat(1_900);
    let long = format!(
        "GET {} HTTP/1.1\r\nHost: t\r\nX: {padding}\r\n\r\n",
        links.long
    );
    let pipelined = long.repeat(60);
    let body =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 16000\r\n\r\na=");
    let (press, refused) = (body(&links.press), body(&links.click));
    let chunked = format!(
        "POST {} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        links.click
    );
    let kind = |what, first, then, within| Kind {
        what,
        first,
        then,
        reads: true,
        within,
    };
    for kind in [
        kind("silent", b"".as_slice(), b"".as_slice(), FIRST),
        kind("a head byte by byte", b"GET / HTTP/1.1\r\nX: ", b"a", FIRST),
        kind("empty lines", b"\r\n", b"\r\n", FIRST),
        kind("idle", keep_alive.as_bytes(), b"", NEXT),
        kind("a second head byte by byte", begun.as_bytes(), b"a", NEXT),
        kind("a press byte by byte", press.as_bytes(), b"a", NEXT),
        kind("a body that nobody reads", refused.as_bytes(), b"a", NEXT),
        kind(
            "a chunk that nobody reads",
            chunked.as_bytes(),
            b"1\r\na\r\n",
            NEXT,
        ),
        Kind {
            what: "a reader that asks and takes nothing",
            first: pipelined.as_bytes(),
            then: b"\r\n",
            reads: false,
            within: NEXT,
        },
    ] {
        many(&server, door, &kind);
    }
    let clicks = good.end();
    println!("{clicks} clicks beside them, 0 failed");
    assert!(clicks > 100);
}

#[test]
fn a_proxy_header_or_handshake_that_never_ends_is_closed() {
    let _turn = alone();
    let text = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n";
    let server = Server::with(&format!("{text}{LIMITS}"), &[]);
    let never = |what, first, then| Kind {
        what,
        first,
        then,
        reads: true,
        within: FIRST,
    };
    let door = address(&server.public);
    many(
        &server,
        door,
        &never("a PROXY header", b"PROXY TCP4 1.2.3.4 ".as_slice(), b""),
    );
    drop(server);

    let own = tempfile::tempdir().unwrap();
    let (chain, key) = Authority::new().issue("t.example").write(own.path());
    let tls = format!("{LIMITS}[tls]\ncertificate = {chain:?}\nkey = {key:?}\n");
    let server = Server::with(&tls, &[]);
    let door = address(&server.public);
    many(&server, door, &never("no handshake", b"".as_slice(), b""));
    let hello = b"\x16\x03\x01\x20\0\x01\0\x1f\xfc\x03\x03";
    many(
        &server,
        door,
        &never("a handshake byte by byte", hello.as_slice(), b"a"),
    );
}

/// Frames of HTTP/2: kind, flags and stream.
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Reads frames, answers pings and settings as a living client does, and counts answers, and those
/// of them that were refused, until the other side closes.
fn sit(mut stream: impl Read + Write) -> (u32, u32, Duration) {
    let began = Instant::now();
    let (mut answers, mut refused) = (0, 0);
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut body = vec![0; length as usize];
        if stream.read_exact(&mut body).is_err() {
            break;
        }
        let (kind, flags) = (head[3], head[4]);
        let reply = match kind {
            PING if flags & ACK == 0 => frame(PING, ACK, 0, &body),
            SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
            _ => Vec::new(),
        };
        answers += u32::from(kind == HEADERS);
        refused += u32::from(kind == HEADERS && flags & END_STREAM != 0);
        if stream
            .write_all(&reply)
            .and_then(|()| stream.flush())
            .is_err()
        {
            break;
        }
    }
    (answers, refused, began.elapsed())
}

#[test]
fn http_2_that_sits_or_takes_nothing_is_closed() {
    let _turn = alone();
    let own = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (chain, key) = authority.issue("t.example").write(own.path());
    let tls = format!("{LIMITS}[tls]\ncertificate = {chain:?}\nkey = {key:?}\n");
    let server = Server::with(&tls, &[]);
    let config = authority.raw(&["h2"]);
    let begin = |first: &[u8]| {
        let mut stream = secure(connect("127.0.0.1", address(&server.public)), &config);
        stream.write_all(&[PREFACE, first].concat()).unwrap();
        stream
    };
    let (answers, _, took) = sit(begin(&frame(SETTINGS, 0, 0, &[])));
    println!("a connection that sits and answers pings: closed after {took:.1?}");
    assert!(answers == 0 && took < NEXT + SLACK, "{took:?}");

    // No window: not a byte of any body can be sent.
    let mut asked = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let get = [b"\x82\x87\x84\x41\x09".as_slice(), b"localhost"].concat();
    for stream in 0..500 {
        let end = END_STREAM | END_HEADERS;
        asked.extend(frame(HEADERS, end, stream * 2 + 1, &get));
    }
    let (answers, refused, took) = sit(begin(&asked));
    println!("500 requests without a window: {refused} refused, closed after {took:.1?}");
    assert_eq!((answers, refused), (500, 372));
    assert!(took < NEXT + SLACK, "{took:?}");
    assert!(server.client.get(server.control("/livez")).send().is_ok());
}
