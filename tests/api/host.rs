//! What the host says of itself to those who check hosts: root page, robots.txt, security.txt and
//! the like.

use reqwest::Method;

use crate::bad_input::raw;
use crate::harness::Server;

#[test]
fn the_root_says_what_is_recorded() {
    let server = |privacy: &str| Server::with(&format!("[privacy]\n{privacy}\n"), &[]);
    let message = "which email it was and thus to whom it was sent";
    for (privacy, says, silent, gpc) in [
        (
            "",
            vec![message, "this is counted, but not linked to you"],
            vec![],
            true,
        ),
        (
            "signals = \"none\"",
            vec![message, "none of this is recorded"],
            vec![],
            true,
        ),
        (
            "signals = \"ignore\"",
            vec![message],
            vec!["Global Privacy Control"],
            false,
        ),
        (
            "level = \"aggregate\"",
            vec!["this is counted, but not linked to you"],
            vec![message, "Global Privacy Control"],
            true,
        ),
        (
            "level = \"aggregate\"\nsignals = \"none\"",
            vec![
                "this is counted, but not linked to you",
                "none of this is recorded",
            ],
            vec![message],
            true,
        ),
        (
            "level = \"none\"",
            vec!["is not recorded"],
            vec![message, "Global Privacy Control"],
            true,
        ),
    ] {
        let server = server(privacy);
        let html = server.get("/").text().unwrap();
        assert!(
            says.iter().all(|text| html.contains(text)),
            "{privacy}: {html}"
        );
        assert!(
            !silent.iter().any(|text| html.contains(text)),
            "{privacy}: {html}"
        );
        let said = server.get("/.well-known/gpc.json").text().unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["gpc"], gpc, "{privacy}");
    }
}

#[test]
fn those_who_check_hosts_find_what_they_look_for() {
    let face = "base_url = \"https://t.example\"\n[face]\ncontact = \"https://a.example/abuse\"\n";
    let server = Server::with(face, &[]);
    for (path, kind) in [
        ("/favicon.ico", "image/vnd.microsoft.icon"),
        ("/_/favicon.svg", "image/svg+xml"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/.well-known/security.txt", "text/plain; charset=utf-8"),
        ("/.well-known/gpc.json", "application/json"),
        ("/.well-known/cupel-keys.json", "application/jwk-set+json"),
    ] {
        let file = server.get(path);
        assert_eq!(file.status(), 200, "{path}");
        let headers = file.headers();
        assert_eq!(headers["content-type"], kind, "{path}");
        assert_eq!(headers["cache-control"], "public, max-age=86400", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
    }
    let icon = server.get("/favicon.ico").bytes().unwrap();
    assert!(
        icon.starts_with(&[0, 0, 1, 0]),
        "an icon, not another file under its name"
    );

    let robots = server.get("/robots.txt").text().unwrap();
    let lines: Vec<_> = robots.lines().collect();
    assert!(
        lines.contains(&"Allow: /$") && lines.contains(&"Disallow: /"),
        "{robots}"
    );

    let security = server.get("/.well-known/security.txt").text().unwrap();
    let field = |name: &str| {
        let mut lines = security.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    assert_eq!(
        field("Contact"),
        Some("https://a.example/abuse"),
        "{security}"
    );
    let canonical = "https://t.example/.well-known/security.txt";
    assert_eq!(field("Canonical"), Some(canonical), "{security}");
    assert_eq!(field("Preferred-Languages"), Some("en"), "{security}");
    let expires: jiff::Timestamp = field("Expires").unwrap().parse().unwrap();
    let days = expires.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!(
        (300..365).contains(&days),
        "RFC 9116 asks for less than a year: {security}"
    );
}

#[test]
fn a_head_is_its_get_without_the_body_and_nothing_else_is_taken() {
    let server = Server::with("[face]\ncontact = \"abuse@a.example\"\n", &[]);
    for path in [
        "/",
        "/nothing",
        "/robots.txt",
        "/favicon.ico",
        "/_/favicon.svg",
        "/.well-known/gpc.json",
    ] {
        let [get, head] = ["GET", "HEAD"].map(|method| {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n\r\n");
            let answer = raw(&server.public, request.as_bytes());
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let mut lines: Vec<_> = head.lines().filter(|it| !it.starts_with("date:")).collect();
            lines.sort_unstable();
            (lines.join("\n"), body.len())
        });
        assert_eq!(get.0, head.0, "{path}");
        assert!(get.0.contains("content-length: "), "{}", get.0);
        assert!(
            get.1 > 0 && head.1 == 0,
            "{path}: {} and {} bytes",
            get.1,
            head.1
        );
    }
    for path in ["/", "/robots.txt", "/favicon.ico"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = server.public(method.clone(), path).send().unwrap();
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert_eq!(answer.headers()["allow"], "GET, HEAD");
        }
    }
    let hook = server.public(Method::POST, "/hooks/postmark/x");
    assert_eq!(hook.send().unwrap().status(), 404);
    for path in [
        "/c",
        "/c/",
        "/api/v1/campaigns",
        "/metrics",
        "/_/",
        "/_/../x",
        "/_/cupel.css",
        "/.well-known/",
        "//evil",
        "/favicon.ico/",
    ] {
        assert_eq!(server.get(path).status(), 404, "{path}");
    }
}

#[test]
fn no_request_chooses_what_host_the_pages_name() {
    let face = "base_url = \"https://t.example\"\n[face]\ncontact = \"abuse@a.example\"\n";
    let server = Server::with(face, &[]);
    for path in [
        "/",
        "/nothing",
        "/.well-known/security.txt",
        "/?url=https://evil.example/",
    ] {
        for target in [path.to_owned(), format!("http://evil.example{path}")] {
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n\
                 Forwarded: host=evil.example\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(&server.public, request.as_bytes());
            assert!(!answer.contains("evil"), "{target}: {answer}");
            assert!(
                !answer.to_ascii_lowercase().contains("\nlocation:"),
                "{answer}"
            );
        }
    }
}
