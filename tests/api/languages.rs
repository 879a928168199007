//! The languages of the pages: those that no other test reads, and what browsers ask for.

use reqwest::Method;
use serde_json::json;

use crate::bad_input::raw;
use crate::harness::Server;

/// What the pages of a switched-off link and of an unsubscribe say in the others.
const OTHERS: [(&str, &str, [&str; 2]); 6] = [
    (
        "it",
        "ltr",
        ["Questo link non è più in uso", "Annulla l&#39;iscrizione"],
    ),
    (
        "pt",
        "ltr",
        ["Este link não está mais em uso", "Cancelar a inscrição"],
    ),
    (
        "nl",
        "ltr",
        ["Deze link is niet meer in gebruik", "Afmelden"],
    ),
    ("pl", "ltr", ["Ten link nie jest już używany", "Wypisz się"]),
    ("ar", "rtl", ["لم يعد هذا الرابط مستخدمًا", "إلغاء الاشتراك"]),
    (
        "ja",
        "ltr",
        ["このリンクは現在使われていません", "配信停止"],
    ),
];

#[test]
fn every_language_is_there_and_written_as_it_is() {
    let server = Server::new();
    let campaign = server.campaign();
    let one = server.mint(campaign, &["r"])[0].clone();
    let off = json!({"url": "https://a.example/", "code": "off"});
    server.post("/short-links", off);
    server.post("/short-links/off/disable", json!({}));
    let unsubscribe = format!("/u/{}/{}/0", one.token, one.act(0));
    for (language, direction, says) in OTHERS {
        for (path, says) in ["/off", &unsubscribe].into_iter().zip(says) {
            let asked = server.public(Method::GET, path);
            let asked = asked.header("accept-language", language).send().unwrap();
            assert_eq!(asked.headers()["content-language"], language);
            let html = asked.text().unwrap();
            for part in [
                format!("<html lang=\"{language}\" dir=\"{direction}\">"),
                format!("<h1>{says}</h1>"),
            ] {
                assert!(html.contains(&part), "no {part} in\n{html}");
            }
        }
    }
}

#[test]
fn whatever_is_sent_as_a_language_is_answered() {
    let server = Server::new();
    let ask = |lines: &[u8]| {
        let mut request = b"GET / HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n".to_vec();
        request.extend_from_slice(lines);
        request.extend_from_slice(b"\r\n");
        raw(&server.public, &request)
    };
    let commas = ",".repeat(60 << 10);
    let dashes = "x-".repeat(30 << 10);
    for (value, language) in [
        ("", "en"),
        ("*", "en"),
        ("sv;q=1, *;q=0.5", "en"),
        ("de-AT, en;q=0.9", "de"),
        ("en;q=0.5, es-419;q=0.7", "es"),
        ("de;q=9, ;;;=,,q=, fr;q=0.001", "fr"),
        ("../../etc/passwd, {{7*7}}, <script>, %s%n", "en"),
        (commas.as_str(), "en"),
        (dashes.as_str(), "en"),
    ] {
        let answer = ask(format!("Accept-Language: {value}\r\n").as_bytes());
        let said = format!("content-language: {language}\r\n");
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{value:.40}: {answer:.200}"
        );
        assert!(answer.contains(&said), "{value:.40}: {answer:.600}");
    }
    assert!(ask(b"").contains("content-language: en\r\n"));
    assert!(ask(b"Accept-Language: \xff\xfe\r\n").contains("content-language: en\r\n"));
    let two = ask(b"Accept-Language: sv\r\nAccept-Language: fr\r\n");
    assert!(two.contains("content-language: fr\r\n"), "{two:.600}");
}
