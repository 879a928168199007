//! Whether what tracked links begin with leads here, and what a request loses on its way: `cupel
//! doctor` asks for a path that nobody else knows, requests it as a reader would, and reads what
//! was seen.

use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::Parts;
use super::challenge::asked_host;
use super::client::Client;
use super::redirect::scheme;

/// Where readers' side of it lies.
pub(super) const PATH: &str = "/_/probe/";

/// Headers that proxies set; which of them came is worth knowing.
const TELLING: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
    "cf-connecting-ip",
];

/// The probe that was asked for last.
#[derive(Debug, Default)]
pub struct Probe(Mutex<Option<(String, Option<Seen>)>>);

/// What a probe's request looked like when it was here.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    /// The reader's address, as it would be recorded.
    address: String,
    /// The scheme, as it would be recorded.
    scheme: &'static str,
    /// The host that was asked.
    host: String,
    /// The address that the connection came from; none through a socket file.
    peer: Option<String>,
    /// Whether its forwarding headers are believed.
    trusted: bool,
    /// Headers of proxies that came.
    headers: Vec<&'static str>,
}

impl Probe {
    /// A new one, in place of any before.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub(super) fn new_token(&self) -> std::io::Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let token = BASE64URL_NOPAD.encode(&bytes);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), None));
        Ok(token)
    }

    /// What was seen of a probe; `None` if it is not the last one.
    pub(super) fn seen(&self, token: &str) -> Option<Option<Seen>> {
        let probe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, seen) = probe.as_ref().filter(|(known, _)| known == token)?;
        Some(seen.clone())
    }

    /// Notes a request on a probe's path, and says whether it is one that was asked for.
    pub(super) fn note(&self, parts: &Parts, request: &HttpRequest, token: &str) -> bool {
        let mut probe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, seen)) = probe.as_mut().filter(|(known, _)| known == token) else {
            return false;
        };
        let live = parts.live.load();
        let (trusted, headers) = (&live.trusted_proxies, request.headers());
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let client = Client::of(peer, scheme(request), headers, trusted);
        *seen = Some(Seen {
            address: client.address.to_string(),
            scheme: client.scheme.name(),
            host: asked_host(request).to_owned(),
            peer: peer.map(|peer| peer.to_string()),
            trusted: peer.map_or(trusted.unix, |peer| trusted.contains(peer)),
            headers: TELLING
                .into_iter()
                .filter(|name| headers.contains_key(*name))
                .collect(),
        });
        true
    }
}
