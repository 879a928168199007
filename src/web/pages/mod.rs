//! Pages of the public listener, rendered from templates that come with the program. Sender text
//! (names, hosts) is data: it is escaped, never a template.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use tera::{Context, Tera};

use crate::config::Face;
use crate::domain::campaign::ActionKind;
use crate::resolve::Link;

use super::redirect::nothing;
use super::{Parts, respond};

const STYLE: &[u8] = include_bytes!("../../../static/cupel.css");
const ICON: &[u8] = include_bytes!("../../../static/favicon.svg");

/// Templates with what every page says of the sender.
#[derive(Debug)]
pub struct Pages {
    tera: Tera,
    face: Face,
}

/// What a plain page says.
struct Words {
    title: &'static str,
    text: &'static str,
}

impl Pages {
    /// Loads the templates.
    ///
    /// # Errors
    /// Never, unless a shipped template is broken; every test that sees a page shows it.
    pub fn new(face: Face) -> Result<Self, tera::Error> {
        let mut tera = Tera::default();
        tera.add_raw_templates([
            ("layout.html", include_str!("../../../templates/layout.html")),
            ("button.html", include_str!("../../../templates/button.html")),
            ("plain.html", include_str!("../../../templates/plain.html")),
            ("root.html", include_str!("../../../templates/root.html")),
        ])?;
        Ok(Self { tera, face })
    }

    fn render(&self, template: &str, fill: impl FnOnce(&mut Context)) -> String {
        let mut context = Context::new();
        context.insert("sender", &self.face.sender);
        context.insert("contact", &self.face.contact);
        let address = self.face.contact.contains('@') && !self.face.contact.contains(':');
        context.insert("contact_is_address", &address);
        fill(&mut context);
        self.tera
            .render(template, &context)
            .unwrap_or_else(|error| {
                tracing::error!(%error, template, "web: a page could not be rendered");
                String::new()
            })
    }

    fn plain(&self, status: StatusCode, words: &Words) -> HttpResponse {
        let html = self.render("plain.html", |context| {
            context.insert("title", words.title);
            context.insert("text", words.text);
        });
        respond::page(status, html, None)
    }

    fn button(&self, link: Option<&Link>, words: &Words, button: &str) -> HttpResponse {
        let leads_to = link.map(|link| link.destination.origin());
        let host = leads_to
            .as_deref()
            .and_then(|origin| origin.split_once("://"));
        let html = self.render("button.html", |context| {
            context.insert("title", words.title);
            context.insert("text", words.text);
            context.insert("button", button);
            context.insert("host", host.map_or("", |(_, host)| host));
        });
        respond::page(StatusCode::OK, html, leads_to.as_deref())
    }

    /// The page of an action link.
    pub(super) fn action(&self, link: &Link) -> HttpResponse {
        let (title, text, button) = match link.action.unwrap_or(ActionKind::Generic) {
            ActionKind::Confirm => (
                "Please confirm",
                "Press the button to confirm what the mail asked you.",
                "Confirm",
            ),
            ActionKind::Login => (
                "Log in",
                "Press the button to log in with the link from the mail.",
                "Log in",
            ),
            ActionKind::Generic => (
                "Continue",
                "Press the button to go on where the mail wanted to take you.",
                "Continue",
            ),
        };
        self.button(Some(link), &Words { title, text }, button)
    }

    /// The page of the unsubscribe function.
    pub(super) fn unsubscribe(&self, link: Option<&Link>) -> HttpResponse {
        let text = "Press the button if you no longer want to receive these mails.";
        self.button(
            link,
            &Words {
                title: "Unsubscribe",
                text,
            },
            "Unsubscribe",
        )
    }

    /// After an unsubscribe without a destination of the sender's.
    pub(super) fn unsubscribed(&self) -> HttpResponse {
        let words = Words {
            title: "You are unsubscribed",
            text: "The sender has been told. Mails that are on their way may still arrive.",
        };
        self.plain(StatusCode::OK, &words)
    }

    /// Nothing is here, or nothing that this link may show.
    pub(super) fn not_found(&self) -> HttpResponse {
        let words = Words {
            title: "This link leads nowhere",
            text: "It may be incomplete: mail programs sometimes cut long links. \
                   Please try it again from the mail itself.",
        };
        self.plain(StatusCode::NOT_FOUND, &words)
    }

    /// The link was switched off or has run out.
    pub(super) fn gone(&self) -> HttpResponse {
        let words = Words {
            title: "This link is no longer in use",
            text: "The sender has switched it off, or its time has run out.",
        };
        self.plain(StatusCode::GONE, &words)
    }

    /// The mail is too old to confirm or log in with.
    pub(super) fn ask_again(&self) -> HttpResponse {
        let words = Words {
            title: "Please ask for a new mail",
            text: "The link in this mail is too old to be used safely.",
        };
        self.plain(StatusCode::GONE, &words)
    }

    /// The press may not act.
    pub(super) fn refused(&self) -> HttpResponse {
        let words = Words {
            title: "This did not work",
            text: "Nothing was done. Please open the link from the mail itself and press the \
                   button there.",
        };
        self.plain(StatusCode::FORBIDDEN, &words)
    }

    /// The act could not be kept.
    pub(super) fn try_again(&self) -> HttpResponse {
        let words = Words {
            title: "Please try again in a moment",
            text: "Your request could not be stored, so nothing was done.",
        };
        let mut answer = self.plain(StatusCode::SERVICE_UNAVAILABLE, &words);
        let retry = actix_web::http::header::HeaderValue::from_static("5");
        answer
            .headers_mut()
            .insert(actix_web::http::header::RETRY_AFTER, retry);
        answer
    }
}

/// The host's own pages: what this is and whom to write to.
pub(super) fn answer(parts: &Parts, request: &HttpRequest) -> HttpResponse {
    let face = &parts.config.face;
    if request.uri().path().starts_with("/hooks/") {
        // Delivery events come by `/api/v1/deliveries`; no source is known here yet.
        return respond::text(StatusCode::NOT_FOUND, "no such source");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        // CONNECT above all: 200 would look like an open proxy.
        return respond::not_allowed("GET, HEAD");
    }
    match request.uri().path() {
        "/" | "" => {
            let html = parts.pages.render("root.html", |_| ());
            respond::page(StatusCode::OK, html, None)
        }
        "/_/cupel.css" => respond::asset("text/css; charset=utf-8", STYLE),
        "/favicon.ico" | "/_/favicon.svg" => respond::asset("image/svg+xml", ICON),
        "/robots.txt" => {
            respond::asset("text/plain; charset=utf-8", b"User-agent: *\nDisallow: /\n")
        }
        "/.well-known/gpc.json" => respond::asset(
            "application/json",
            b"{\"gpc\":true,\"lastUpdate\":\"2026-11-21\"}\n",
        ),
        // No proofs are signed yet: an empty key set is the true one.
        "/.well-known/cupel-keys.json" => {
            respond::asset("application/jwk-set+json", b"{\"keys\":[]}\n")
        }
        "/.well-known/security.txt" if !face.contact.is_empty() => security_txt(parts),
        _ => nothing(parts),
    }
}

/// RFC 9116. Its `Expires` is a year ahead of the request: as long as somebody runs this, the
/// contact of its configuration holds.
fn security_txt(parts: &Parts) -> HttpResponse {
    let contact = &parts.config.face.contact;
    let scheme = if contact.contains(':') { "" } else { "mailto:" };
    let expires = parts.clock.now().plus(364 * 86_400 * 1_000_000);
    let text = format!(
        "Contact: {scheme}{contact}\nExpires: {expires}\nCanonical: {}/.well-known/security.txt\n",
        parts.base_url
    );
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(text)
}
