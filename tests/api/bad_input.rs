//! Whatever is sent: a clear 4xx or the redirect; never a 5xx, never a redirect to anything that
//! is not registered.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use crate::harness::{PATIENCE, Server};

/// Sends bytes as they are and reads the whole answer.
pub(crate) fn raw(url: &str, request: &[u8]) -> String {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    // A server that has seen enough may close before everything is written.
    let _sent = stream.write_all(request);
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

#[test]
fn destinations_that_lead_astray_are_refused() {
    let server = Server::new();
    let campaign = server.campaign();
    let path = format!("/campaigns/{campaign}/links");
    let long = format!("https://a.example/{}", "x".repeat(64 << 10));
    for url in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "\u{1}javascript:alert(1)",
        "javascript://a.example/%0aalert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://a.example/x",
        "ftp://a.example/",
        "intent://a.example/",
        "mailto:a@a.example",
        "//evil.example/",
        "/\\evil.example",
        "/relative",
        "relative",
        "?q",
        "#f",
        "",
        " ",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "http://",
        "http://:80",
        "https://a.example:65536/",
        "https://a.example:0x50/",
        "https://u:p@a.example/",
        "https://u@a.example/",
        "https://a.example\\@evil.example/",
        "https://a.example/\r\nSet-Cookie: a=b",
        "https://a.example/\nx",
        "https://a.example/\u{2028}x",
        "https://a.example/ x",
        "https://{{host}}/",
        "https://%%HOST%%/",
        "https://[::1/",
        "https://a.example/\u{0}",
        long.as_str(),
    ] {
        let (status, problem) = server.api(Method::POST, &path, Some(json!({"url": url})));
        assert_eq!(status, 422, "{url:?}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{problem}");
    }
    assert_eq!(server.read(&path)["links"], json!([]));
}

#[test]
fn junk_around_a_known_link_does_not_stop_it() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let token = server.mint(campaign, &["r"])[0].token.clone();
    let long = "x".repeat(60 << 10);
    for query in [
        "x=%%EMAIL%%",
        "u={{name}}",
        "%",
        "%zz",
        "x=%",
        "%00",
        "url=https://evil.example/",
        "next=//evil.example",
        "to=javascript:alert(1)",
        "r=%ff%fe",
        "r=*|EMAIL|*",
        "r=",
        "&&&===",
        "v1=a&v1=b",
        "%0d%0aSet-Cookie:%20a=b",
        long.as_str(),
    ] {
        let request = format!(
            "GET /c/{token}/1?{query} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&server.public, request.as_bytes());
        assert_eq!(status(&answer), 302, "{query:.60}: {answer:.300}");
        assert!(
            answer.contains("location: https://shop.example/\r\n"),
            "{answer}"
        );
        assert!(!answer.to_ascii_lowercase().contains("set-cookie"));
    }
    for (header, value) in [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-For", "not an address"),
        ("Forwarded", "for=\";;;=,,\""),
        ("User-Agent", "\u{ff}\u{fe}"),
        ("Sec-Purpose", "nothing"),
        ("Range", "bytes=0-0"),
        ("Expect", "100-continue"),
        ("Cookie", "a=b"),
        ("Accept", "*/*;q=9999999999999999999"),
    ] {
        let request = format!(
            "GET /c/{token}/1 HTTP/1.1\r\nHost: evil.example\r\n{header}: {value}\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = raw(&server.public, request.as_bytes());
        assert!(
            answer.contains("location: https://shop.example/\r\n"),
            "{header}: {answer:.300}"
        );
    }
    let absolute = format!(
        "GET http://evil.example/c/{token}/1 HTTP/1.1\r\nHost: evil.example\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = raw(&server.public, absolute.as_bytes());
    assert!(
        answer.contains("location: https://shop.example/\r\n"),
        "{answer:.300}"
    );
}

/// Bytes that HTTP does not allow in a request target end in a plain 400 before any handler sees
/// them (docs/decisions/0003-illegal-request-targets.md); browsers encode them.
#[test]
fn bytes_that_no_request_target_holds_are_a_clear_400() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let token = server.mint(campaign, &["r"])[0].token.clone();
    for query in ["<script>", "x=\"a\"", "x=\u{e4}", "x=a b", "x=a\tb"] {
        let request = format!(
            "GET /c/{token}/1?{query} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&server.public, request.as_bytes());
        assert_eq!(status(&answer), 400, "{query}: {answer:.200}");
        assert!(
            !answer.contains(query) && !answer.contains("location"),
            "{answer}"
        );
    }
}

#[test]
fn paths_that_lead_nowhere_are_said_so() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let token = server.mint(campaign, &["r"])[0].token.clone();
    let long = format!("/{}", "a".repeat(64 << 10));
    for path in [
        "//evil.example/c",
        "/%2f%2fevil.example",
        "/\\evil.example",
        "/c/..//evil.example",
        "/c;@evil.example",
        "/https://evil.example/",
        "/c/https://evil.example/1",
        "/?url=https://evil.example",
        "/.",
        "/..",
        "/%00",
        "/%0d%0aLocation:%20https://evil.example",
        "/c/{{cupel_token}}/1",
        "/c/%%TOKEN%%/1",
        "/c/*|TOKEN|*/1",
        "/u/x/y/0",
        "/a/x/y/1",
        "/\u{e9}",
        &format!("/c/{token}/1/"),
        &format!("/c/{token}//1"),
        &format!("/C/{token}/1"),
        &format!("/c/{token}/1%0d%0aX:%20y"),
        &format!("/c/{token}/%31"),
        &format!("/c/{token}x/1"),
        &format!("/c/{token}"),
        &format!("/o/{token}.gif/x"),
        &long,
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n\r\n");
        let answer = raw(&server.public, request.as_bytes());
        let seen = status(&answer);
        let pages = [200, 400, 404, 414, 431];
        assert!(pages.contains(&seen), "{path:.80}: {answer:.200}");
        assert!(
            !answer.to_ascii_lowercase().contains("location:"),
            "{path:.80}: {answer:.200}"
        );
    }
    for request in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"\x00\x01\x02\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST /c/x/1 HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /u/x/y/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(&server.public, request);
        assert!(status(&answer) < 500, "{answer:.200}");
    }
    assert_eq!(
        server.get(&format!("/c/{token}/1")).status(),
        302,
        "it lives"
    );
}

#[test]
fn a_body_of_which_no_more_comes_is_refused_and_its_connection_closed() {
    let server = Server::new();
    let address = server.control.trim_start_matches("http://");
    let begin = |framing: &str, part: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let key = &server.key;
        let head = "POST /api/v1/campaigns HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer";
        let sent = format!("{head} {key}\r\n{framing}\r\n\r\n{part}");
        stream.write_all(sent.as_bytes()).unwrap();
        stream
    };
    let begun = [
        begin("Content-Length: 100", "{\"name\":"),
        // actix would read on behind the answer.
        begin("Transfer-Encoding: chunked", "1\r\n{\r\n"),
    ];
    for mut stream in begun {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(status(&answer), 408, "{answer}");
        let answer = answer.to_ascii_lowercase();
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains("10 s went by"), "{answer}");
    }
}

/// Whatever a rule reads may be missing, there twice, as long as it may be, or no text.
#[test]
fn headers_of_every_kind_are_judged_and_explained() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let token = &server.mint(campaign, &["r"])[0].token;
    let read = [
        "user-agent",
        "accept",
        "accept-encoding",
        "accept-language",
        "sec-ch-ua",
        "sec-ch-ua-mobile",
        "sec-ch-ua-platform",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-user",
        "sec-purpose",
        "purpose",
        "x-moz",
        "sec-gpc",
        "dnt",
    ];
    let values: [Vec<u8>; 6] = [
        Vec::new(),
        b"?1".to_vec(),
        vec![b'x'; 8 << 10],
        [b"\"Chromium\";v=\"".repeat(500), b"9".repeat(1_000)].concat(),
        b"\xff\xfe\x80".to_vec(),
        "Mozilla/5.0 \u{1F600} ".repeat(300).into_bytes(),
    ];
    let begin = format!("GET /c/{token}/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    let mut sent = 0;
    let mut ask = |headers: &[u8]| {
        let request = [begin.as_bytes(), headers, b"\r\n"].concat();
        let answer = raw(&server.public, &request);
        let shown = String::from_utf8_lossy(headers.get(..80).unwrap_or(headers));
        // Speculation is refused so that the real click comes.
        assert!([302, 503].contains(&status(&answer)), "{shown}: {answer}");
        sent += 1;
    };
    ask(b"");
    for name in read {
        for value in &values {
            let line = [name.as_bytes(), b": ", value, b"\r\n"].concat();
            ask(&line);
            ask(&[&line[..], b"user-agent: Mozilla/5.0\r\n", &line[..]].concat());
        }
    }
    let all = server.events("", sent);
    for event in all.iter().step_by(16) {
        let id = event["id"].as_str().unwrap();
        let explained = server.read(&format!("/events/{id}/explain"));
        assert!(explained["text"].is_array(), "{explained}");
    }
}
