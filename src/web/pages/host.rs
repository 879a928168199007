//! The host's own pages and files: what this is, whom to write to, and what those who check hosts
//! look for.

use actix_http::RequestHead;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

use crate::config::PrivacySignals;

use super::super::redirect::nothing;
use super::super::{Parts, acme, probe, respond};

const ICON: &[u8] = include_bytes!("../../../static/favicon.ico");
const ICON_SVG: &[u8] = include_bytes!("../../../static/favicon.svg");

/// The root may be found and its files fetched. Tracked links are people's own, and crawling them
/// would make hits; what ignores this file is what the judge is for.
const ROBOTS: &str = "\
User-agent: *
Allow: /$
Allow: /favicon.ico
Allow: /_/
Allow: /.well-known/
Disallow: /
";

/// Answers everything that is no link.
pub(in crate::web) fn answer(parts: &Parts, request: &HttpRequest) -> HttpResponse {
    let path = request.uri().path();
    if path.starts_with("/hooks/") {
        // Delivery events come by `/api/v1/deliveries`; no source is known here yet.
        return respond::text(StatusCode::NOT_FOUND, "no such source");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        // CONNECT above all: 200 would look like an open proxy.
        return respond::not_allowed("GET, HEAD");
    }
    if let Some(token) = path.strip_prefix(probe::PATH)
        && parts.probe.note(parts, request, token)
    {
        return respond::text(StatusCode::OK, "seen");
    }
    let asked = path.strip_prefix(acme::PATH);
    if let Some(answer) = asked.and_then(|token| parts.acme.of(token)) {
        return respond::acme_answer(answer);
    }
    file(parts, request.head(), path).unwrap_or_else(|| nothing(parts, request.head()))
}

fn file(parts: &Parts, head: &RequestHead, path: &str) -> Option<HttpResponse> {
    Some(match path {
        "/" | "" => parts.pages.load().for_reader(&head.headers).root(),
        "/favicon.ico" => respond::asset("image/vnd.microsoft.icon", ICON),
        "/_/favicon.svg" => respond::asset("image/svg+xml", ICON_SVG),
        "/robots.txt" => respond::asset("text/plain; charset=utf-8", ROBOTS),
        "/.well-known/gpc.json" => respond::asset("application/json", gpc(parts)),
        // No proofs are signed yet: an empty key set is the true one.
        "/.well-known/cupel-keys.json" => {
            respond::asset("application/jwk-set+json", "{\"keys\":[]}\n")
        }
        "/.well-known/security.txt" => {
            respond::asset("text/plain; charset=utf-8", security_txt(parts)?)
        }
        _ => return None,
    })
}

/// Whether Global Privacy Control is heeded here.
fn gpc(parts: &Parts) -> &'static str {
    if parts.live.load().privacy_signals == PrivacySignals::Ignore {
        "{\"gpc\":false,\"lastUpdate\":\"2026-11-21\"}\n"
    } else {
        "{\"gpc\":true,\"lastUpdate\":\"2026-11-21\"}\n"
    }
}

/// RFC 9116; `None` without a contact that it takes. `Expires` is nearly a year ahead of the
/// request: as long as somebody runs this, the contact of its configuration holds.
fn security_txt(parts: &Parts) -> Option<String> {
    let pages = parts.pages.load();
    let contact = pages.contact()?.for_security_txt()?;
    let expires = parts.clock.now().plus(364 * 86_400 * 1_000_000);
    let mut text = format!("Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\n");
    // A canonical address is one by https, or none.
    if parts.base_url.starts_with("https:") {
        text.push_str("Canonical: ");
        text.push_str(&parts.base_url);
        text.push_str("/.well-known/security.txt\n");
    }
    Some(text)
}
