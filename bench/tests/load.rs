//! The generator against servers that answer, dawdle, break off and die.

#![allow(
    clippy::unwrap_used,
    reason = "a test that is surprised should fail there and then"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cupel_bench::requests::get;
use cupel_bench::{Arrivals, LoadError, Outcome, Plan, Requests, Running, Seed, WhenGone, run};

const ANSWER: &[u8] = b"HTTP/1.1 302 Found\r\ncontent-length: 2\r\n\r\nhi";
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves each connection by `serve` on a thread of its own, until the process ends.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// The id in the next request's path; `None` at the end of the connection.
fn next_id(stream: &mut TcpStream) -> Option<u64> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        let got = stream.read(&mut byte).unwrap_or(0);
        if got == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    let path = text.split(' ').nth(1).unwrap();
    Some(path.trim_start_matches('/').parse().unwrap())
}

fn numbered(id: u64, into: &mut Vec<u8>) {
    let agent = format!("load/{id}");
    into.extend(get("test", &format!("/{id}"), &[("User-Agent", &agent)]));
}

fn run_all(plan: &Plan) -> Outcome {
    let outcome = run(plan, &numbered, &AtomicBool::new(false)).unwrap();
    let accounted = outcome.answered + outcome.broken + outcome.malformed + outcome.pending;
    assert_eq!(outcome.sent, accounted, "{outcome}");
    outcome
}

#[test]
fn every_request_is_answered_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let address = server(move |mut stream| {
        while let Some(id) = next_id(&mut stream) {
            kept.lock().unwrap().push(id);
            stream.write_all(ANSWER).unwrap();
        }
    });
    for arrivals in [
        Arrivals::Closed,
        Arrivals::Poisson(4000.0),
        Arrivals::Constant(4000.0),
    ] {
        seen.lock().unwrap().clear();
        let plan = Plan {
            connections: 5,
            threads: 2,
            arrivals,
            total: Some(1000),
            seed: Seed(3),
            ..Plan::new(address)
        };
        let outcome = run_all(&plan);
        assert_eq!((outcome.sent, outcome.answered), (1000, 1000), "{outcome}");
        assert_eq!(outcome.by_status, [(302, 1000)].into());
        assert_eq!(outcome.latency.count(), 1000);
        let stored = seen.lock().unwrap().clone();
        let verdict = outcome.oracle.unwrap().check(stored.clone());
        assert!(verdict.holds(), "{verdict}");
        assert_eq!(verdict.answered, 1000);
    }
}

#[test]
fn waiting_for_a_connection_is_latency() {
    // One connection, 20 ms an answer, due every 5 ms: the tenth waits for nine others.
    let address = server(|mut stream| {
        while next_id(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(ANSWER).unwrap();
        }
    });
    let plan = Plan {
        connections: 1,
        arrivals: Arrivals::Constant(200.0),
        total: Some(10),
        ..Plan::new(address)
    };
    let outcome = run_all(&plan);
    assert_eq!(outcome.answered, 10);
    // Due at 45 ms, answered at 200 ms or later.
    assert!(
        outcome.latency.max() >= Duration::from_millis(155),
        "{outcome}"
    );
    assert!(
        outcome.latency.quantile(0.5) >= Duration::from_millis(75),
        "{outcome}"
    );
    // The queue is the server's doing, not the generator's.
    assert!(
        outcome.behind.quantile(0.5) < Duration::from_millis(5),
        "{outcome}"
    );
}

#[test]
fn what_is_due_and_finds_no_connection_is_told() {
    let address = server(|mut stream| {
        let _id = next_id(&mut stream);
        std::thread::sleep(PATIENCE);
    });
    let plan = Plan {
        connections: 2,
        arrivals: Arrivals::Constant(100.0),
        duration: Some(Duration::from_millis(200)),
        drain: Duration::from_millis(50),
        ..Plan::new(address)
    };
    let outcome = run_all(&plan);
    assert_eq!(
        (outcome.sent, outcome.pending, outcome.unsent),
        (2, 2, 18),
        "{outcome}"
    );
}

#[test]
fn a_generator_that_is_late_says_so() {
    let address = server(|mut stream| {
        while next_id(&mut stream).is_some() {
            stream.write_all(ANSWER).unwrap();
        }
    });
    let plan = Plan {
        connections: 4,
        arrivals: Arrivals::Constant(1000.0),
        total: Some(50),
        ..Plan::new(address)
    };
    let slow = |id, into: &mut Vec<u8>| {
        std::thread::sleep(Duration::from_millis(5));
        numbered(id, into);
    };
    let outcome = run(&plan, &slow, &AtomicBool::new(false)).unwrap();
    assert!(outcome.doubt().unwrap().contains("behind"), "{outcome}");
}

#[test]
fn answers_in_parts_and_closing_servers_are_understood() {
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    let address = server(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true).unwrap();
        for served in 0..3 {
            let Some(_) = next_id(&mut stream) else {
                return;
            };
            let head = match served {
                2 => "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\nConnection: close\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n",
            };
            let answer = [head.as_bytes(), &[b'x'; 70_000]].concat();
            for part in [0..10, 10..60, 60..answer.len()] {
                stream.write_all(&answer[part]).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let plan = Plan {
        connections: 2,
        total: Some(30),
        ..Plan::new(address)
    };
    let outcome = run_all(&plan);
    assert_eq!((outcome.answered, outcome.refused), (30, 0), "{outcome}");
    assert!(connections.load(Ordering::Relaxed) >= 10);
}

#[test]
fn a_request_that_went_out_in_part_is_sent_and_not_answered() {
    // Reads nothing: of a request larger than the socket buffers only a part goes out.
    let address = server(|stream| {
        std::thread::sleep(Duration::from_millis(300));
        drop(stream);
    });
    let plan = Plan {
        connections: 1,
        total: Some(1),
        ..Plan::new(address)
    };
    let huge = |_id, into: &mut Vec<u8>| into.resize(32 << 20, b'x');
    let outcome = run(&plan, &huge, &AtomicBool::new(false)).unwrap();
    assert_eq!(
        (outcome.sent, outcome.answered, outcome.broken),
        (1, 0, 1),
        "{outcome}"
    );
    let oracle = outcome.oracle.unwrap();
    assert!(oracle.was_sent(0) && oracle.status(0).is_none());
    assert!(oracle.check([0]).holds() && oracle.check([]).holds());
}

/// A server that dies with answers in our sockets: takes `most` requests, answers them after all
/// have come, and ends in the same moment.
fn mortal(most: usize) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let accept = || listener.accept().unwrap().0;
        let mut streams: Vec<_> = (0..most).map(|_| accept()).collect();
        for stream in &mut streams {
            next_id(stream).unwrap();
        }
        drop(listener);
        for stream in &mut streams {
            stream.write_all(ANSWER).unwrap();
        }
    });
    (address, thread)
}

#[test]
fn answers_of_a_server_that_died_are_read() {
    // A body that it never reads makes the kernel reset the connections instead of closing them.
    let with_body = |id, into: &mut Vec<u8>| {
        numbered(id, into);
        into.extend(b"unread");
    };
    let ways: [&dyn Requests; 2] = [&numbered, &with_body];
    for requests in ways {
        let (address, thread) = mortal(8);
        let plan = Plan {
            connections: 8,
            duration: Some(PATIENCE),
            ..Plan::new(address)
        };
        let began = Instant::now();
        let outcome = run(&plan, requests, &AtomicBool::new(false)).unwrap();
        thread.join().unwrap();
        assert!(
            began.elapsed() < PATIENCE,
            "it ends with the server: {outcome}"
        );
        assert_eq!((outcome.answered, outcome.refused), (8, 8), "{outcome}");
        assert!(outcome.oracle.unwrap().check(0..8).holds());
    }
}

#[test]
fn it_comes_back_to_a_server_that_does() {
    let (address, thread) = mortal(4);
    let plan = Plan {
        connections: 4,
        total: Some(100),
        when_gone: WhenGone::Reconnect,
        ..Plan::new(address)
    };
    let running = Running::start(plan, numbered).unwrap();
    thread.join().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                while next_id(&mut stream).is_some() {
                    stream.write_all(ANSWER).unwrap();
                }
            });
        }
    });
    let outcome = running.join().unwrap();
    assert!(outcome.refused > 0, "{outcome}");
    assert_eq!(
        outcome.answered + outcome.broken + outcome.unsent,
        100,
        "{outcome}"
    );
    assert!(outcome.answered >= 92, "{outcome}");
}

#[test]
fn a_flag_stops_it_and_awaits_the_answers() {
    let address = server(|mut stream| {
        while next_id(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(3));
            stream.write_all(ANSWER).unwrap();
        }
    });
    for arrivals in [Arrivals::Closed, Arrivals::Poisson(500.0)] {
        let plan = Plan {
            connections: 4,
            arrivals,
            ..Plan::new(address)
        };
        let running = Running::start(plan, numbered).unwrap();
        std::thread::sleep(Duration::from_millis(150));
        assert!(!running.is_finished());
        running.stop();
        let outcome = running.join().unwrap();
        assert!(outcome.sent > 20, "{outcome}");
        assert_eq!(
            (outcome.sent, outcome.pending),
            (outcome.answered, 0),
            "{outcome}"
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failed = run(&Plan::new(address), &numbered, &AtomicBool::new(false));
    assert!(matches!(failed, Err(LoadError::Connect { .. })));
    let no_rate = Plan {
        arrivals: Arrivals::Poisson(0.0),
        ..Plan::new(address)
    };
    let failed = run(&no_rate, &numbered, &AtomicBool::new(false));
    assert!(matches!(failed, Err(LoadError::Rate(_))));
}
