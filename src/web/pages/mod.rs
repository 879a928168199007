//! Pages of the public listener, in the reader's language. Templates and words come with the
//! program. Sender text (names, hosts) is data: it is escaped, never a template.
//!
//! What says the same to everybody is rendered once, at the start; only pages with a button are
//! rendered for a request.

mod contact;
mod host;
mod language;
mod words;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, HeaderMap, HeaderValue, InvalidHeaderValue, RETRY_AFTER,
};
use actix_web::web::Bytes;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use tera::{Context, Tera};

use crate::config::Live;
use crate::domain::campaign::{ActionKind, PrivacyLevel};
use crate::resolve::Link;

use super::respond;

use contact::Contact;
use words::{Button, DEFAULT, OTHERS, Root, Text, Words};

pub(super) use host::answer;

/// Stands in every page, so that a page is one request.
const STYLE: &str = include_str!("../../../static/cupel.css");
/// A shipped template, or the words of a shipped language, are broken; or the program is.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A template.
    #[error("a page cannot be rendered: {0}")]
    Template(#[from] tera::Error),
    /// Words.
    #[error("words of a page are missing: {0}")]
    Words(#[from] toml::de::Error),
    /// A name of a language or a policy.
    #[error("a header of pages cannot be sent: {0}")]
    Header(#[from] InvalidHeaderValue),
}

/// Every page in every language.
#[derive(Debug)]
pub struct Pages {
    tera: Tera,
    contact: Option<Contact>,
    /// What the style is known by in a page's policy.
    style_source: String,
    /// Policy of pages without a form.
    policy: HeaderValue,
    /// For readers who ask for no language that is there.
    default: Edition,
    others: Vec<Edition>,
}

/// The pages in one language.
#[derive(Debug)]
struct Edition {
    words: Words,
    language: HeaderValue,
    /// What each page is rendered with.
    context: Context,
    root: Bytes,
    not_found: Bytes,
    gone: Bytes,
    expired: Bytes,
    ask_again: Bytes,
    refused: Bytes,
    try_again: Bytes,
    unsubscribed: Bytes,
}

impl Pages {
    /// Renders what is the same for every request.
    ///
    /// # Errors
    /// None, unless what ships is broken.
    pub fn new(live: &Live) -> Result<Self, PagesError> {
        let mut tera = Tera::default();
        tera.add_raw_templates([
            (
                "layout.html",
                include_str!("../../../templates/layout.html"),
            ),
            (
                "contact.html",
                include_str!("../../../templates/contact.html"),
            ),
            (
                "button.html",
                include_str!("../../../templates/button.html"),
            ),
            ("plain.html", include_str!("../../../templates/plain.html")),
            ("root.html", include_str!("../../../templates/root.html")),
        ])?;
        let contact = Contact::of(&live.face.contact);
        let style_source = format!("'sha256-{}'", BASE64.encode(&Sha256::digest(STYLE)));
        let edition = |file| Edition::new(&tera, toml::from_str(file)?, live, contact.as_ref());
        Ok(Self {
            policy: policy(&style_source, "'none'").parse()?,
            default: edition(DEFAULT)?,
            others: OTHERS
                .iter()
                .copied()
                .map(edition)
                .collect::<Result<_, _>>()?,
            tera,
            contact,
            style_source,
        })
    }

    /// Where abuse is reported.
    fn contact(&self) -> Option<&Contact> {
        self.contact.as_ref()
    }

    /// The pages in the language that a request asks for, or else in English.
    pub(super) fn for_reader(&self, headers: &HeaderMap) -> Reader<'_> {
        let asked = headers.get_all(ACCEPT_LANGUAGE);
        let asked = asked.filter_map(|line| line.to_str().ok());
        let under = |tag: &str| {
            let is = |edition: &&Edition| edition.words.language.eq_ignore_ascii_case(tag);
            std::iter::once(&self.default).chain(&self.others).find(is)
        };
        Reader {
            pages: self,
            edition: language::lookup(asked, under).unwrap_or(&self.default),
        }
    }
}

impl Edition {
    fn new(
        tera: &Tera,
        words: Words,
        live: &Live,
        contact: Option<&Contact>,
    ) -> Result<Self, PagesError> {
        let mut context = Context::new();
        context.insert("style", STYLE);
        context.insert("sender", live.face.sender.trim());
        context.insert("contact", &contact);
        context.insert("words", &words);
        let plain = |text: &Text| -> Result<Bytes, PagesError> {
            let mut context = context.clone();
            context.insert("page", text);
            Ok(tera.render("plain.html", &context)?.into())
        };
        let root = {
            let (recorded, signal) = privacy(&words.root, live);
            let mut context = context.clone();
            context.insert("page", &words.root);
            context.insert("recorded", recorded);
            context.insert("signal", &signal);
            tera.render("root.html", &context)?.into()
        };
        Ok(Self {
            language: words.language.parse()?,
            root,
            not_found: plain(&words.not_found)?,
            gone: plain(&words.gone)?,
            expired: plain(&words.expired)?,
            ask_again: plain(&words.ask_again)?,
            refused: plain(&words.refused)?,
            try_again: plain(&words.try_again)?,
            unsubscribed: plain(&words.unsubscribed)?,
            words,
            context,
        })
    }
}

/// What the root page says is recorded, and what a browser's signal changes, if it does. A
/// campaign may record less, never more.
fn privacy<'w>(words: &'w Root, live: &Live) -> (&'w str, Option<&'w str>) {
    let recorded = match live.level {
        PrivacyLevel::Individual => &words.recorded_individual,
        PrivacyLevel::Aggregate => &words.recorded_aggregate,
        PrivacyLevel::None => &words.recorded_none,
    };
    let with_signal = live.level.strictest(live.privacy_signals.level());
    let signal = match with_signal {
        _ if with_signal == live.level => None,
        PrivacyLevel::Individual => None,
        PrivacyLevel::Aggregate => Some(words.signal_aggregate.as_str()),
        PrivacyLevel::None => Some(words.signal_none.as_str()),
    };
    (recorded, signal)
}

/// The pages for one reader.
pub(super) struct Reader<'p> {
    pages: &'p Pages,
    edition: &'p Edition,
}

impl Reader<'_> {
    fn page(&self, status: StatusCode, html: Bytes, policy: HeaderValue) -> HttpResponse {
        respond::page(status, html, policy, self.edition.language.clone())
    }

    fn plain(&self, status: StatusCode, html: &Bytes) -> HttpResponse {
        let answer = self.page(status, html.clone(), self.pages.policy.clone());
        respond::unlisted(answer)
    }

    /// A page whose form posts to itself and ends up at `link`'s destination.
    fn button(&self, link: Option<&Link>, page: &Button) -> HttpResponse {
        let leads_to = link.map(|link| link.destination.origin());
        let host = leads_to.as_deref().and_then(|it| it.split_once("://"));
        let mut context = self.edition.context.clone();
        context.insert("page", page);
        context.insert("host", host.map_or("", |(_, host)| host));
        let form_action = match &leads_to {
            Some(origin) => format!("'self' {origin} http: https:"),
            None => "'self'".to_owned(),
        };
        let html = self.pages.tera.render("button.html", &context);
        let policy = policy(&self.pages.style_source, &form_action).parse();
        match (html, policy) {
            (Ok(html), Ok(policy)) => {
                respond::unlisted(self.page(StatusCode::OK, html.into(), policy))
            }
            (html, policy) => {
                let (html, policy) = (html.err(), policy.err());
                tracing::error!(?html, ?policy, "web: a page could not be rendered");
                respond::text(StatusCode::INTERNAL_SERVER_ERROR, "this page is broken")
            }
        }
    }

    /// What this host is.
    fn root(&self) -> HttpResponse {
        self.page(
            StatusCode::OK,
            self.edition.root.clone(),
            self.pages.policy.clone(),
        )
    }

    /// The page of an action link.
    pub(super) fn action(&self, link: &Link) -> HttpResponse {
        let words = &self.edition.words;
        let page = match link.action.unwrap_or(ActionKind::Generic) {
            ActionKind::Confirm => &words.confirm,
            ActionKind::Login => &words.login,
            ActionKind::Generic => &words.generic,
        };
        self.button(Some(link), page)
    }

    /// The page of the unsubscribe function.
    pub(super) fn unsubscribe(&self, link: Option<&Link>) -> HttpResponse {
        self.button(link, &self.edition.words.unsubscribe)
    }

    /// After an unsubscribe without a destination of the sender's.
    pub(super) fn unsubscribed(&self) -> HttpResponse {
        self.plain(StatusCode::OK, &self.edition.unsubscribed)
    }

    /// Nothing is here, or nothing that this link may show.
    pub(super) fn not_found(&self) -> HttpResponse {
        self.plain(StatusCode::NOT_FOUND, &self.edition.not_found)
    }

    /// The link was switched off.
    pub(super) fn gone(&self) -> HttpResponse {
        self.plain(StatusCode::GONE, &self.edition.gone)
    }

    /// The link's time has run out.
    pub(super) fn expired(&self) -> HttpResponse {
        self.plain(StatusCode::GONE, &self.edition.expired)
    }

    /// The mail is too old to confirm or log in with.
    pub(super) fn ask_again(&self) -> HttpResponse {
        self.plain(StatusCode::GONE, &self.edition.ask_again)
    }

    /// The press may not act.
    pub(super) fn refused(&self) -> HttpResponse {
        self.plain(StatusCode::FORBIDDEN, &self.edition.refused)
    }

    /// The act could not be kept.
    pub(super) fn try_again(&self) -> HttpResponse {
        let mut answer = self.plain(StatusCode::SERVICE_UNAVAILABLE, &self.edition.try_again);
        let retry = HeaderValue::from_static("5");
        answer.headers_mut().insert(RETRY_AFTER, retry);
        answer
    }
}

/// What a page may load and where its form may lead: nothing that is not named.
///
/// Chromium and WebKit hold the whole chain of redirects after a form's POST to `form-action`, so
/// the destination's origin alone would strand readers of a destination that redirects on: any
/// web origin may follow (docs/decisions/0002-form-action.md).
fn policy(style: &str, form_action: &str) -> String {
    format!(
        "default-src 'none'; style-src {style}; img-src 'self'; form-action {form_action}; \
         base-uri 'none'; frame-ancestors 'none'"
    )
}
