//! The hot handler. One hit: facts, resolve, judge, journal, answer.

use std::rc::Rc;

use actix_http::body::BoxBody;
use actix_http::{RequestHead, Response};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::campaign::{LinkKind, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, Method, Scheme, TokenState};
use crate::domain::keys::{KeyState, TenantKeys};
use crate::domain::message::{RecipientKey, decimal};
use crate::domain::record::Target;
use crate::domain::token::{Token, Verified};
use crate::journal::Kept;
use crate::resolve::{Campaign, Link, fill};

use super::counters::TokenFault;
use super::record::{Asked, Seen, keep};
use super::worker::Worker;
use super::{Parts, challenge, pages, respond};

/// Longest query that is looked at; a longer one is junk, and junk stops no redirect.
pub(super) const QUERY_BYTES_MAX: usize = 8_192;

/// An answer, and what must be synced before it is sent, if anything.
pub(super) struct Reply {
    pub(super) response: Response<BoxBody>,
    pub(super) wait_for: Option<Kept>,
}

/// Answers clicks, opens and short links that come over `scheme`; `None` for everything else.
pub(super) fn answer(worker: &Worker, head: &RequestHead, scheme: Scheme) -> Option<Reply> {
    let path = head.uri.path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).splitn(4, '/');
    match (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ) {
        (Some("c"), Some(token), Some(number), None) => {
            Some(content(worker, head, scheme, (token, number)))
        }
        (Some("o"), Some(name), None, None) => Some(open(worker, head, scheme, name)),
        (Some(code), None, None, None) => short(worker, head, scheme, code),
        _ => None,
    }
}

/// Answers every request of the public listener.
pub(super) async fn answer_all(request: HttpRequest, body: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>() else {
        return respond::text(StatusCode::INTERNAL_SERVER_ERROR, "no worker");
    };
    let scheme = scheme(&request);
    if let Some(reply) = answer(worker, request.head(), scheme) {
        if let Some(kept) = reply.wait_for {
            worker.journal.until_synced(kept).await;
        }
        return reply.response.into();
    }
    let path = request.uri().path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).splitn(5, '/');
    match (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ) {
        (Some(kind @ ("a" | "u")), Some(token), Some(act), Some(number))
            if segments.next().is_none() =>
        {
            challenge::answer(worker, &request, body, (kind, token, act, number)).await
        }
        _ => pages::answer(worker, &request),
    }
}

/// What the request's connection spoke.
pub(super) fn scheme(request: &HttpRequest) -> Scheme {
    let scheme = request.app_data::<Scheme>();
    scheme.copied().unwrap_or(Scheme::Http)
}

/// What a token in a URL turned out to be.
pub(super) enum Known {
    /// The campaign is known and the token signed by a key of its tenant.
    Signed(Verified),
    /// The campaign is known, but the token is not one of ours.
    Damaged,
}

/// State of a verified token's key, as hits record it.
pub(super) fn token_state(verified: &Verified) -> TokenState {
    match verified.key_state {
        KeyState::Signing | KeyState::Verifying => TokenState::Valid,
        KeyState::Aged => TokenState::Aged,
        KeyState::Revoked => TokenState::Revoked,
    }
}

/// Looks at a token; `with` is called if its campaign is known.
pub(super) fn resolve<R>(
    parts: &Parts,
    token: &str,
    with: impl FnOnce(&Campaign, &TenantKeys, Known) -> R,
) -> Option<R> {
    let faulty = |fault| parts.counters.token_invalid(fault);
    let parsed = Token::parse(token.as_bytes());
    let claimed = match &parsed {
        Some(token) => Some(token.claimed_campaign()),
        None => Token::claimed_campaign_of(token.as_bytes()),
    };
    let Some(id) = claimed else {
        faulty(TokenFault::Malformed);
        return None;
    };
    let snapshot = parts.catalogue.load();
    let Some((campaign, keys)) = snapshot.campaign(id) else {
        faulty(TokenFault::UnknownCampaign);
        return None;
    };
    let verified = parsed.and_then(|token| token.verify(keys));
    match &verified {
        Some(verified) if verified.key_state == KeyState::Revoked => faulty(TokenFault::Revoked),
        Some(_) => {}
        None => faulty(TokenFault::Damaged),
    }
    Some(with(
        campaign,
        keys,
        verified.map_or(Known::Damaged, Known::Signed),
    ))
}

impl Asked {
    /// A hit on a link of a campaign, not yet answered.
    pub(super) fn of(kind: HitKind, campaign: &Campaign, link: u32, known: &Known) -> Self {
        let (message, token) = match known {
            Known::Signed(verified) => {
                let state = token_state(verified);
                let message = (verified.payload.message, verified.payload.recipient);
                ((state != TokenState::Revoked).then_some(message), state)
            }
            Known::Damaged => (None, TokenState::Damaged),
        };
        Self {
            kind,
            target: Target::Campaign(campaign.id, link),
            message,
            token,
            answer: Answer::NotFound,
            level: campaign.level,
            claimed: false,
            honeypot: false,
            values: false,
            via: None,
        }
    }

    /// Takes over the recipient that the query claims, where the token names none.
    fn claim(&mut self, keys: &TenantKeys, query: Option<&str>) {
        let Some((message, RecipientKey::NONE)) = self.message else {
            return;
        };
        let raw = query.and_then(|query| fill::parameter(query, "r"));
        let Some(id) = raw.and_then(|raw| String::from_utf8(fill::decode(raw)).ok()) else {
            return;
        };
        if is_unfilled(&id) {
            return;
        }
        if let Some(recipient) = keys.recipient_key(&id, message.campaign) {
            self.message = Some((message, recipient));
            self.claimed = true;
        }
    }
}

/// Whether a value is a sender's merge tag that was not filled in.
fn is_unfilled(value: &str) -> bool {
    ["{{", "}}", "*|", "|*", "%%", "[[", "]]", "<%", "${"]
        .iter()
        .any(|tag| value.contains(tag))
        || matches!(
            (value.as_bytes().first(), value.as_bytes().last()),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'%'), Some(b'%'))
        )
}

fn content(
    worker: &Worker,
    head: &RequestHead,
    scheme: Scheme,
    (token, number): (&str, &str),
) -> Reply {
    let seen = Seen::new(worker, head, scheme);
    let Some(number) = decimal(number).filter(|number| *number > 0) else {
        return unkept(nothing(worker, head));
    };
    let query = head
        .uri
        .query()
        .filter(|query| query.len() <= QUERY_BYTES_MAX);
    let answered = resolve(worker, token, |campaign, keys, known| {
        let link = campaign.link(number);
        // A number that nobody registered stands for no link: outsiders must not make up cells.
        let known_number = link.map_or(0, |link| link.number.get());
        let mut asked = Asked::of(HitKind::Click, campaign, known_number, &known);
        asked.claim(keys, query);
        let (answer, url) = match (&known, link) {
            (Known::Signed(_), Some(link)) => content_answer(&seen, campaign, link, query),
            _ => (Answer::NotFound, None),
        };
        asked.answer = answer;
        asked.honeypot = link.is_some_and(|link| link.kind == LinkKind::Honeypot);
        asked.values = link.is_some_and(|link| carries_values(link, query));
        let wait_for = keep(worker, &seen, &asked);
        let response = respond_click(worker, head, answer, url.as_deref());
        Reply { response, wait_for }
    });
    answered.unwrap_or_else(|| unkept(nothing(worker, head)))
}

/// The answer to a request that is no hit.
fn unkept(response: HttpResponse) -> Reply {
    Reply {
        response: response.into(),
        wait_for: None,
    }
}

fn content_answer<'l>(
    seen: &Seen<'_>,
    campaign: &'l Campaign,
    link: &'l Link,
    query: Option<&str>,
) -> (Answer, Option<std::borrow::Cow<'l, str>>) {
    let url = match link.kind {
        LinkKind::Action | LinkKind::Unsubscribe => return (Answer::NotFound, None),
        LinkKind::Honeypot => campaign.home.as_str().into(),
        LinkKind::Content => fill::fill(&link.destination, query),
    };
    (click_answer(seen, link.disabled), Some(url))
}

/// Whether values for a templated destination came.
pub(super) fn carries_values(link: &Link, query: Option<&str>) -> bool {
    link.destination.slots() > 0
        && query.is_some_and(|query| fill::parameter(query, "v1").is_some())
}

/// How a click on something that redirects is answered.
fn click_answer(seen: &Seen<'_>, gone: bool) -> Answer {
    match seen.method {
        Method::Post | Method::Other => Answer::Refused,
        Method::Get | Method::Head if gone => Answer::Gone,
        Method::Get | Method::Head if seen.headers.speculative() => Answer::Speculation,
        Method::Get | Method::Head => Answer::Redirected,
    }
}

fn respond_click(
    parts: &Parts,
    head: &RequestHead,
    answer: Answer,
    url: Option<&str>,
) -> Response<BoxBody> {
    let page = match (answer, url) {
        (Answer::Redirected, Some(url)) => return respond::found(url),
        (Answer::Speculation, _) => respond::too_early(),
        (Answer::Refused, _) => respond::not_allowed("GET, HEAD"),
        (Answer::Gone, _) => parts.pages.load().for_reader(&head.headers).gone(),
        _ => parts.pages.load().for_reader(&head.headers).not_found(),
    };
    page.into()
}

fn open(worker: &Worker, head: &RequestHead, scheme: Scheme, name: &str) -> Reply {
    let seen = Seen::new(worker, head, scheme);
    let token = name.strip_suffix(".gif").unwrap_or(name);
    let query = head
        .uri
        .query()
        .filter(|query| query.len() <= QUERY_BYTES_MAX);
    let known = resolve(worker, token, |campaign, keys, known| {
        let mut asked = Asked::of(HitKind::Open, campaign, 0, &known);
        asked.claim(keys, query);
        asked.answer = Answer::Pixel;
        keep(worker, &seen, &asked)
    });
    if known.is_none() {
        worker.counters.unknown();
    }
    Reply {
        response: respond::pixel(),
        wait_for: known.flatten(),
    }
}

fn short(worker: &Worker, head: &RequestHead, scheme: Scheme, code: &str) -> Option<Reply> {
    let snapshot = worker.catalogue.load();
    let link = snapshot.short_link(code)?;
    let seen = Seen::new(worker, head, scheme);
    let gone = link.disabled || link.expires_at.is_some_and(|end| end <= seen.at);
    let asked = Asked {
        kind: HitKind::Click,
        target: Target::Short(link.id.get()),
        message: None,
        token: TokenState::None,
        answer: click_answer(&seen, gone),
        level: PrivacyLevel::Individual,
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    };
    let wait_for = keep(worker, &seen, &asked);
    let response = match asked.answer {
        Answer::Redirected => respond::found_shared(link.location()),
        Answer::Gone if !link.disabled => worker
            .pages
            .load()
            .for_reader(&head.headers)
            .expired()
            .into(),
        other => respond_click(worker, head, other, None),
    };
    Some(Reply { response, wait_for })
}

/// A request on nothing known: a metric, not a hit.
pub(super) fn nothing(parts: &Parts, head: &RequestHead) -> HttpResponse {
    parts.counters.unknown();
    parts.pages.load().for_reader(&head.headers).not_found()
}
