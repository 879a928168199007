//! Certificates from an ACME authority: ordered, kept, renewed, and what happens when they are not.

mod authority;
mod look;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reqwest::blocking::Client;

use crate::harness::{PATIENCE, Server, eventually, ports};
use authority::Authority;

/// A server for `a.example` and `b.example` on these ports.
fn serve(data: &Path, authority: &Authority, ports: [u16; 2], challenge: &str) -> Server {
    let configuration = format!(
        "[acme]\nhosts = [\"a.example\", \"b.example\"]\ncontact = \"ca@a.example\"\n\
         directory = {:?}\nca_certificate = {:?}\nchallenge = {challenge:?}\n",
        authority.directory, authority.root
    );
    std::fs::write(data.join("cupel.toml"), configuration).unwrap();
    let listen = format!("127.0.0.1:{},http://127.0.0.1:{}", ports[0], ports[1]);
    Server::start(data, &["--listen", &listen])
}

/// A client that trusts the authority and finds both hosts on this machine.
fn client(authority: &Authority, port: u16) -> Client {
    let root = std::fs::read(&authority.root).unwrap();
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&root).unwrap()])
        .resolve("a.example", here)
        .resolve("b.example", here)
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .unwrap()
}

/// Asks both hosts over TLS until they answer.
fn both_answer(authority: &Authority, port: u16) {
    let client = client(authority, port);
    for host in ["a.example", "b.example"] {
        let url = format!("https://{host}:{port}/robots.txt");
        let ask = || {
            client
                .get(&url)
                .send()
                .ok()
                .map(|answer| answer.status().as_u16())
        };
        eventually(host, ask, |answer| *answer == Some(200));
    }
}

fn data() -> (tempfile::TempDir, std::path::PathBuf) {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    std::fs::create_dir(&data).unwrap();
    (own, data)
}

#[test]
fn a_certificate_is_ordered_kept_and_renewed_in_time() {
    for challenge in ["tls-alpn-01", "http-01"] {
        let (ports, (_own, data)) = (ports::<2>(), data());
        let authority = Authority::start(ports, (1, 89));
        let mut server = serve(&data, &authority, ports, challenge);
        assert_eq!(server.public, format!("https://127.0.0.1:{}", ports[0]));
        both_answer(&authority, ports[0]);
        assert_eq!(authority.issued(), 1, "{challenge}");
        for name in ["account.json", "certificate.pem"] {
            let about = std::fs::metadata(data.join("acme").join(name)).unwrap();
            assert_eq!(about.permissions().mode() & 0o777, 0o600, "{name}");
        }
        // Old answers are not given for ever.
        let path = "/.well-known/acme-challenge/token0";
        let said = look::get(ports[1], "a.example", path).unwrap();
        assert!(said.starts_with("HTTP/1.1 404"), "{said}");
        assert!(look::handshake(ports[0], "a.example").is_err());
        // The one that is kept serves the next start, and no other is asked for.
        server.stop();
        let mut server = serve(&data, &authority, ports, challenge);
        both_answer(&authority, ports[0]);
        assert_eq!(authority.issued(), 1, "{challenge}");
        server.stop();
        // One of which a third is left is renewed, and serves meanwhile.
        authority.change(ports, (80, 10));
        std::fs::remove_file(data.join("acme/certificate.pem")).unwrap();
        let mut server = serve(&data, &authority, ports, challenge);
        both_answer(&authority, ports[0]);
        server.stop();
        authority.change([1, 1], (1, 89));
        let mut server = serve(&data, &authority, ports, challenge);
        let log = eventually(
            "refusal",
            || server.log(),
            |log| log.contains("no new certificate"),
        );
        assert!(
            log.contains("the authority did not find the hosts here"),
            "{log}"
        );
        both_answer(&authority, ports[0]);
        server.stop();
        authority.change(ports, (1, 89));
        let server = serve(&data, &authority, ports, challenge);
        eventually("renewal", || authority.issued(), |issued| *issued == 3);
        both_answer(&authority, ports[0]);
        drop(server);
    }
}

#[test]
fn readers_are_served_while_no_authority_can_be_reached() {
    let (ports, (_own, data)) = (ports::<2>(), data());
    let authority = Authority::start(ports, (1, 89));
    let (directory, root) = (authority.directory.clone(), authority.root.clone());
    let gone = directory.replace("/directory", "/nothing");
    let configuration = format!(
        "[acme]\nhosts = [\"a.example\"]\ndirectory = {gone:?}\nca_certificate = {root:?}\n"
    );
    std::fs::write(data.join("cupel.toml"), configuration).unwrap();
    let listen = format!("127.0.0.1:{},http://127.0.0.1:{}", ports[0], ports[1]);
    let server = Server::start(&data, &["--listen", &listen]);
    eventually(
        "refusal",
        || server.log(),
        |log| log.contains("no new certificate"),
    );
    let said = look::get(ports[1], "a.example", "/robots.txt").unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(authority.issued(), 0);
}

#[test]
fn a_certificate_is_ordered_anew_when_it_is_damaged_or_another_authority_s() {
    let (ports, (_own, data)) = (ports::<2>(), data());
    let staging = Authority::start(ports, (1, 89));
    let mut server = serve(&data, &staging, ports, "tls-alpn-01");
    both_answer(&staging, ports[0]);
    server.stop();
    // Half of a file, and an account that is known no more.
    std::fs::write(data.join("acme/certificate.pem"), "-----BEGIN CERTI").unwrap();
    staging.forget_accounts();
    let mut server = serve(&data, &staging, ports, "tls-alpn-01");
    both_answer(&staging, ports[0]);
    assert_eq!(staging.issued(), 2);
    server.stop();
    let production = Authority::start(ports, (1, 89));
    let server = serve(&data, &production, ports, "tls-alpn-01");
    both_answer(&production, ports[0]);
    assert_eq!((staging.issued(), production.issued()), (2, 1));
    drop(server);
}
