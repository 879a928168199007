//! Where connections are taken: socket files, sockets that systemd passes, and what is refused.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use socket2::SockRef;

use crate::authority::Authority;
use crate::forwarded::{Probes, head, hits, seen};
use crate::harness::{Server, client, cupel, eventually, run};
use crate::wire::{address, connect, exchange, status};

/// A directory of one's own, with a data directory in it and this configuration.
fn directory(configuration: &str) -> (tempfile::TempDir, PathBuf) {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("cupel.toml"), configuration).unwrap();
    (own, data)
}

fn serve(data: &Path) -> Command {
    let mut command = cupel();
    command.arg("serve").arg("--data").arg(data);
    command
}

/// A start that must fail: its exit code, and what it said.
fn refused(command: &mut Command) -> (i32, String) {
    let (code, out, said) = run(command);
    assert!(!out.contains("ready"), "{out}");
    (code, said)
}

#[test]
fn both_listeners_take_socket_files() {
    let (own, data) = directory("");
    let (public, control) = (
        own.path().join("public.sock"),
        own.path().join("control.sock"),
    );
    let text = format!(
        "listen = \"unix:{}\"\ncontrol = \"unix:{}\"\nbase_url = \"https://t.example\"\n\
         socket_mode = \"0620\"\ntrusted_proxies = [\"unix\"]\nworkers = 1\n",
        public.display(),
        control.display()
    );
    std::fs::write(data.join("cupel.toml"), text).unwrap();
    // What a killed process left behind is no obstacle.
    drop(UnixListener::bind(&public).unwrap());
    let through = |path: &Path| {
        let path = path.to_owned();
        reqwest::blocking::Client::builder()
            .unix_socket(path)
            .build()
            .unwrap()
    };
    let server = Server::spawn(serve(&data), &data, through(&control));
    for path in [&public, &control] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o620, "{}", path.display());
    }
    let keys = |client: &reqwest::blocking::Client| {
        let url = "http://localhost/api/v1/events";
        client.get(url).send().unwrap().status().as_u16()
    };
    // Who may open a socket file that is configured needs a key all the same.
    assert_eq!(keys(&server.client), 401);
    assert_eq!(keys(&through(&data.join("control.sock"))), 200);
    let probes = Probes::new(&server);
    let ask = |path: &str, lines: &[String]| {
        let stream = UnixStream::connect(&public).unwrap();
        status(&exchange(stream, head(path, lines).as_bytes()))
    };
    let lines = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"];
    let lines = lines.map(str::to_owned);
    let path = probes.next();
    assert_eq!(ask(&path, &lines), 302);
    let events = probes.events(|last| assert_eq!(ask(last, &[]), 302));
    let one = hits(&events, &path);
    let expected = ("203.0.113.0/24".to_owned(), "https".to_owned());
    assert_eq!(one.into_iter().map(seen).collect::<Vec<_>>(), [expected]);

    // A second server takes nothing away from the first.
    let (_other, data) = directory("");
    let mut second = serve(&data);
    second.args([
        "--base-url",
        "https://t.example",
        "--control",
        "127.0.0.1:0",
    ]);
    second
        .arg("--listen")
        .arg(format!("unix:{}", public.display()));
    let (code, said) = refused(&mut second);
    assert!(code == 75 && said.contains("in use"), "{code} {said}");
    assert_eq!(ask(&probes.next(), &[]), 302);
}

#[test]
fn no_other_kind_of_file_is_removed_for_a_socket() {
    let (own, data) = directory("base_url = \"https://t.example\"\n");
    let file = own.path().join("notes");
    std::fs::write(&file, "dear diary").unwrap();
    let link = own.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &link, &data] {
        let mut command = serve(&data);
        command.args(["--control", "127.0.0.1:0", "--listen"]);
        let (code, said) = refused(command.arg(format!("unix:{}", path.display())));
        assert!(
            code == 75 && said.contains(path.to_str().unwrap()),
            "{code} {said}"
        );
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "dear diary");
    assert!(link.is_symlink());
}

#[test]
fn control_leaves_this_machine_only_when_told_to() {
    let everywhere = ["--listen", "127.0.0.1:0", "--control", "0.0.0.0:0"];
    let (_own, data) = directory("");
    let (code, said) = refused(serve(&data).args(everywhere));
    assert!(
        code == 78 && said.contains("control_without_tls"),
        "{code} {said}"
    );
    let mut told = serve(&data);
    told.args(everywhere)
        .args(["--set", "control_without_tls=true"]);
    let server = Server::spawn(told, &data, client());
    assert!(server.control.starts_with("http://0.0.0.0:"));
    drop(server);
    let authority = Authority::new();
    let (chain, key) = authority.issue("control.example").write(&data);
    let mut secure = serve(&data);
    secure.args(everywhere).args([
        format!("--set=tls.control_certificate={}", chain.display()),
        format!("--set=tls.control_key={}", key.display()),
    ]);
    // The certificate is for 127.0.0.1, which is what 0.0.0.0 leads to.
    let client = authority.client().danger_accept_invalid_hostnames(true);
    let server = Server::spawn(secure, &data, client.build().unwrap());
    assert!(server.control.starts_with("https://0.0.0.0:"));
    assert_eq!(server.api(reqwest::Method::GET, "/events", None).0, 200);
}

#[test]
fn both_families_are_listened_to_on_one_port() {
    // None that the system hands to others who ask for any.
    let free = |port: &u16| TcpListener::bind(("::", *port)).is_ok();
    let port = (20_000..30_000).find(free).unwrap();
    let (_own, data) = directory(&format!(
        "base_url = \"http://t.example\"\nlisten = [\"0.0.0.0:{port}\", \"[::]:{port}\"]\n"
    ));
    let mut command = serve(&data);
    command.args(["--control", "127.0.0.1:0"]);
    let server = Server::spawn(command, &data, client());
    assert_eq!(server.others, [format!("http://[::]:{port}")]);
    for host in ["127.0.0.1", "[::1]"] {
        let url = format!("http://{host}:{port}/robots.txt");
        assert_eq!(
            server.client.get(url).send().unwrap().status(),
            200,
            "{host}"
        );
    }
}

/// As systemd starts it: sockets from descriptor 3 on, told of by three variables.
const LAUNCHER: &str = "
import fcntl, os, sys
names, numbers = sys.argv[1], [int(number) for number in sys.argv[2].split(',')]
high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in numbers]
for place, number in enumerate(high):
    os.dup2(number, 3 + place)
os.environ['LISTEN_FDS'] = str(len(high))
os.environ['LISTEN_PID'] = str(os.getpid())
os.environ['LISTEN_FDNAMES'] = names
os.execv(sys.argv[3], sys.argv[3:])
";

/// A command that is passed these sockets under these names.
fn activated(data: &Path, names: &str, sockets: &[&dyn AsRawFd]) -> Command {
    let numbers: Vec<_> = sockets
        .iter()
        .map(|it| it.as_raw_fd().to_string())
        .collect();
    let mut command = Command::new("python3");
    command
        .args([
            "-c",
            LAUNCHER,
            names,
            &numbers.join(","),
            env!("CARGO_BIN_EXE_cupel"),
        ])
        .args(["serve", "--data", data.to_str().unwrap()]);
    command
}

/// A socket that a child may inherit.
fn passed(address: &str) -> TcpListener {
    let socket = TcpListener::bind(address).unwrap();
    SockRef::from(&socket).set_cloexec(false).unwrap();
    socket
}

#[test]
fn systemd_passes_both_sockets_and_a_restart_fails_nobody() {
    let (_own, data) = directory("workers = 1\n");
    let (public, control) = (passed("127.0.0.1:0"), passed("127.0.0.1:0"));
    let door = public.local_addr().unwrap();
    let start = || {
        // In another order than one would think: they are told by their names.
        let command = activated(&data, "control:public", &[&control, &public]);
        Server::spawn(command, &data, client())
    };
    let mut server = start();
    assert_eq!(server.public, format!("http://{door}"));
    assert_eq!(
        server.control,
        format!("http://{}", control.local_addr().unwrap())
    );
    let campaign = server.campaign();
    server.link(
        campaign,
        serde_json::json!({"url": "https://shop.example/"}),
    );
    let path = format!("/c/{}/1", server.mint(campaign, &["reader"])[0].token);
    let over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (over, asked, path) = (Arc::clone(&over), Arc::clone(&asked), path.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let stream = connect("127.0.0.1", door);
                    let answer = exchange(stream, head(&path, &[]).as_bytes());
                    assert_eq!(status(&answer), 302, "{answer:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let before = asked.load(Ordering::Relaxed);
        eventually(
            "readers",
            || asked.load(Ordering::Relaxed),
            |now| *now > before + 100,
        );
        let key = server.key.clone();
        server.stop();
        server = start();
        server.key = key;
    }
    over.store(true, Ordering::Relaxed);
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    let asked = asked.load(Ordering::Relaxed);
    println!("{asked} connections over 3 restarts, 0 failed");
    let total = || {
        server.stats(campaign)["raw"]["clicks"]["total"]
            .as_u64()
            .unwrap()
    };
    eventually("hits", total, |total| *total == asked);
}

#[test]
fn passed_sockets_are_held_to_what_addresses_are() {
    let everywhere = passed("0.0.0.0:0");
    let here = passed("127.0.0.1:0");
    let (_own, data) = directory("");
    let (code, said) = refused(&mut activated(
        &data,
        "public:control",
        &[&here, &everywhere],
    ));
    assert!(
        code == 75 && said.contains("control_without_tls"),
        "{code} {said}"
    );
    let (code, said) = refused(&mut activated(
        &data,
        "public:control",
        &[&everywhere, &here],
    ));
    assert!(code == 75 && said.contains("base_url"), "{code} {said}");
    let file = data.with_extension("sock");
    let socket = UnixListener::bind(&file).unwrap();
    SockRef::from(&socket).set_cloexec(false).unwrap();
    // Without names that say anything the first is for readers.
    let mut command = activated(&data, "cupel.socket:cupel.socket", &[&socket, &here]);
    command.args(["--base-url", "https://t.example"]);
    let server = Server::spawn(command, &data, client());
    assert_eq!(server.public, format!("unix:{}", file.display()));
    let answer = exchange(
        UnixStream::connect(&file).unwrap(),
        head("/", &[]).as_bytes(),
    );
    assert_eq!(status(&answer), 200, "{answer}");
    drop(server);
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    SockRef::from(&datagrams).set_cloexec(false).unwrap();
    let (code, said) = refused(&mut activated(
        &data,
        "public:control",
        &[&datagrams, &here],
    ));
    assert!(
        code == 75 && said.contains("pass stream sockets"),
        "{code} {said}"
    );
}

#[test]
fn connections_that_ask_nothing_do_not_hold_up_a_stop() {
    // Far longer than a stop is waited for.
    let (_own, data) = directory("[http]\nkeep_alive_seconds = 300\nstop_seconds_max = 300\n");
    let mut server = Server::start(&data, &[]);
    let ask = b"GET /robots.txt HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut idle = [(); 3].map(|()| connect("127.0.0.1", address(&server.public)));
    for stream in &mut idle {
        stream.write_all(ask).unwrap();
        assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
    }
    server.stop();
    for mut stream in idle {
        assert_eq!(stream.read(&mut [0; 4_096]).unwrap(), 0);
    }
}
