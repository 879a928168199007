//! The pages as readers see them, in every language.

use reqwest::Method;
use reqwest::blocking::Response;
use serde_json::json;

use crate::harness::Server;

/// What a page weighs at most, style and all: the first flight of a new connection.
const PAGE_BYTES_MAX: usize = 14 << 10;
const LANGUAGES: [&str; 4] = ["en", "de", "fr", "es"];

/// One page: how to get it, its status, and its heading in each of the languages.
struct Page {
    method: Method,
    path: String,
    status: u16,
    says: [&'static str; 4],
}

impl Page {
    fn ask(&self, server: &Server, language: &str) -> Response {
        let request = server.public(self.method.clone(), &self.path);
        let request = request.header("accept-language", language);
        // As another site's page would press: that is what is refused.
        let request = match self.status {
            403 => request.header("sec-fetch-site", "cross-site"),
            _ => request,
        };
        request.send().unwrap()
    }
}

/// A server with something behind every page, and the pages.
fn pages(configuration: &str) -> (Server, Vec<Page>) {
    let server = Server::with(configuration, &[]);
    let campaign = server.campaign();
    let action = |sub_kind: &str| {
        let url = "https://shop.example/x";
        json!({"url": format!("{url}/{sub_kind}"), "kind": "action", "sub_kind": sub_kind})
    };
    for sub_kind in ["confirm", "login", "generic"] {
        server.link(campaign, action(sub_kind));
    }
    let old = server.mint(campaign, &["old"])[0].clone();
    server.post("/key-ring/rotate", json!({}));
    let aged = Some(json!({"state": "aged"}));
    assert_eq!(server.api(Method::PATCH, "/key-ring/1", aged).0, 200);
    let new = server.mint(campaign, &["new"])[0].clone();
    let past = json!({"url": "https://a.example/", "code": "past"});
    server.post("/short-links", past);
    let end = Some(json!({"expires_at": "2001-01-01T00:00:00Z"}));
    assert_eq!(server.api(Method::PATCH, "/short-links/past", end).0, 200);
    let off = json!({"url": "https://a.example/", "code": "off"});
    server.post("/short-links", off);
    server.post("/short-links/off/disable", json!({}));

    let (get, post) = (Method::GET, Method::POST);
    let act = |number: u64| format!("/a/{}/{}/{number}", new.token, new.act(number));
    let aged = format!("/a/{}/{}/1", old.token, old.act(1));
    let unsubscribe = format!("/u/{}/{}/0", new.token, new.act(0));
    let page = |method: &Method, path: &str, status, says| Page {
        method: method.clone(),
        path: path.to_owned(),
        status,
        says,
    };
    let pages = vec![
        page(
            &get,
            "/",
            200,
            [
                "Links in emails lead through here",
                "Links aus E‑Mails führen über diese Seite",
                "Les liens des e‑mails passent par ici",
                "Los enlaces de los correos pasan por aquí",
            ],
        ),
        page(
            &get,
            "/nothing",
            404,
            [
                "This link leads nowhere",
                "Dieser Link führt nirgendwohin",
                "Ce lien ne mène nulle part",
                "Este enlace no lleva a ninguna parte",
            ],
        ),
        page(
            &get,
            "/off",
            410,
            [
                "This link is no longer in use",
                "Dieser Link wird nicht mehr verwendet",
                "Ce lien n’est plus utilisé",
                "Este enlace ya no se utiliza",
            ],
        ),
        page(
            &get,
            "/past",
            410,
            [
                "This link has expired",
                "Dieser Link ist abgelaufen",
                "Ce lien a expiré",
                "Este enlace ha caducado",
            ],
        ),
        page(
            &get,
            &aged,
            410,
            [
                "Please ask for a new email",
                "Bitte fordern Sie eine neue E‑Mail an",
                "Veuillez demander un nouvel e‑mail",
                "Solicite un correo nuevo",
            ],
        ),
        page(
            &post,
            &act(1),
            403,
            [
                "That did not work",
                "Das hat nicht funktioniert",
                "Cela n’a pas fonctionné",
                "No ha funcionado",
            ],
        ),
        page(
            &get,
            &act(1),
            200,
            [
                "Please confirm",
                "Bitte bestätigen Sie",
                "Veuillez confirmer",
                "Por favor, confirme",
            ],
        ),
        page(
            &get,
            &act(2),
            200,
            ["Log in", "Anmelden", "Se connecter", "Iniciar sesión"],
        ),
        page(
            &get,
            &act(3),
            200,
            ["Continue", "Weiter", "Continuer", "Continuar"],
        ),
        page(
            &get,
            &unsubscribe,
            200,
            ["Unsubscribe", "Abmelden", "Se désabonner", "Darse de baja"],
        ),
        page(
            &post,
            &unsubscribe,
            200,
            [
                "You are unsubscribed",
                "Sie sind abgemeldet",
                "Votre désabonnement est enregistré",
                "Se ha dado de baja",
            ],
        ),
    ];
    (server, pages)
}

#[test]
fn every_page_speaks_every_language() {
    let face = "[face]\nsender = \"Nordlicht Versand\"\ncontact = \"abuse@nordlicht.example\"\n";
    let (server, pages) = pages(face);
    for page in &pages {
        for (language, says) in LANGUAGES.iter().zip(page.says) {
            let what = format!("{} {} in {language}", page.method, page.path);
            let answer = page.ask(&server, &format!("sv,{language}-XX;q=0.8,fi;q=0.9"));
            assert_eq!(answer.status(), page.status, "{what}");
            let headers = answer.headers().clone();
            let header = |name: &str| {
                let value = headers
                    .get(name)
                    .unwrap_or_else(|| panic!("{what}: no {name}"));
                value.to_str().unwrap().to_owned()
            };
            assert_eq!(header("content-language"), *language, "{what}");
            assert_eq!(header("vary"), "Accept-Language", "{what}");
            assert_eq!(header("cache-control"), "no-store", "{what}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
            assert_eq!(header("referrer-policy"), "same-origin", "{what}");
            let policy = header("content-security-policy");
            for rule in [
                "default-src 'none'; style-src 'sha256-",
                "img-src 'self';",
                "base-uri 'none'; frame-ancestors 'none'",
            ] {
                assert!(policy.contains(rule), "{what}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{what}: {policy}");
            assert!(!headers.contains_key("set-cookie"), "{what}");
            // The root may be found; what a link led to may not.
            let listed = page.path == "/";
            assert_eq!(headers.contains_key("x-robots-tag"), !listed, "{what}");

            let html = answer.text().unwrap();
            assert!(html.len() <= PAGE_BYTES_MAX, "{what}: {} bytes", html.len());
            assert_eq!(html.contains("name=\"robots\""), !listed, "{what}");
            for part in [
                format!("<html lang=\"{language}\" dir=\"ltr\">"),
                format!("<title>{says} · Nordlicht Versand</title>"),
                format!("<h1>{says}</h1>"),
                "<a href=\"mailto:abuse@nordlicht.example\">".to_owned(),
            ] {
                assert!(html.contains(&part), "{what}: no {part} in\n{html}");
            }
            assert_eq!(html.matches("<h1").count(), 1, "{what}");
            assert_eq!(html.matches("<main>").count(), 1, "{what}");
            assert!(!html.contains('{') || html.contains("<style>"), "{what}");
            let body = html.split("</style>").nth(1).unwrap();
            assert!(!body.contains(['{', '}']), "a placeholder is left: {body}");
            for elsewhere in ["href=\"http", "src=", "<script", "@import", "url("] {
                assert!(!html.contains(elsewhere), "{what}: {elsewhere}");
            }
            assert_eq!(html.contains("<form"), html.contains("<button"), "{what}");
        }
    }
}

#[test]
fn what_the_sender_wrote_is_shown_and_never_run() {
    for (name, contact) in [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        (
            "\"><svg onload=alert(1)>",
            "\"><svg onload=alert(1)>@a.example",
        ),
        ("</title><img src=x>", "javascript:alert(1)//@a.example"),
        (
            "{{ 7*7 }}{% raw %}",
            "https://a.example/\"onmouseover=\"alert(1)",
        ),
        (
            "{contact}{sender}{host}",
            "data:text/html,<script>alert(1)</script>",
        ),
        (
            "</style><style>*{}",
            "mailto:a@a.example\"onclick=\"alert(1)",
        ),
        ("\u{202e}moc", "\u{202e}abuse@a.example"),
    ] {
        let face = toml::toml! {
            [face]
            sender = (name)
            contact = (contact)
        };
        let (server, pages) = pages(&face.to_string());
        for page in &pages {
            let html = page.ask(&server, "de").text().unwrap();
            let escaped = name.replace('&', "&amp;").replace('<', "&lt;");
            let escaped = escaped.replace('>', "&gt;").replace('"', "&quot;");
            assert!(
                html.contains(&format!("<bdi>{escaped}</bdi>")),
                "{escaped}:\n{html}"
            );
            for raw in [
                "<script",
                "<svg",
                "<img",
                "onload=a",
                "\"on",
                "href=\"javascript",
                "href=\"data",
            ] {
                let found = html.replace("onload=alert(1)&gt;", "").contains(raw);
                assert!(!found, "{raw} in\n{html}");
            }
            assert_eq!(html.matches("</title>").count(), 1, "{html}");
            assert_eq!(html.matches("<style>").count(), 1, "{html}");
        }
        // Of these only the URL is a contact that RFC 9116 takes, and it is encoded.
        let security = server.get("/.well-known/security.txt");
        let is_url = contact.starts_with("https:");
        assert_eq!(
            security.status(),
            if is_url { 200 } else { 404 },
            "{contact}"
        );
        let security = security.text().unwrap();
        let named = security.starts_with("Contact: https://a.example/%22onmouseover=%22alert(1)\n");
        assert_eq!(named, is_url, "{security}");
    }
}

#[test]
fn without_a_sender_the_pages_read_well() {
    let (server, pages) = pages("");
    for page in &pages {
        let html = page.ask(&server, "en").text().unwrap();
        assert!(
            html.contains(&format!("<title>{}</title>", page.says[0])),
            "{html}"
        );
        for empty in [
            "<header",
            "<footer",
            "<bdi></bdi>",
            "<p></p>",
            "mailto:",
            "from .",
        ] {
            assert!(!html.contains(empty), "{}: {empty} in\n{html}", page.path);
        }
    }
    let root = server.get("/").text().unwrap();
    assert!(
        root.contains("This site handles the links in emails."),
        "{root}"
    );
    assert!(
        root.contains("please reply to it or ask its sender"),
        "{root}"
    );
    // RFC 9116 asks for a contact: without one there is no file.
    assert_eq!(server.get("/.well-known/security.txt").status(), 404);
}
