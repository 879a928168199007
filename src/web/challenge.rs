//! Action and unsubscribe links: a page with a button for whoever looks, an act for whoever
//! presses. GET and HEAD never act; only a POST with the act tag does, and only once it is kept.

use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, rt, web};

use crate::domain::act::Act;
use crate::domain::campaign::{ActionKind, LinkKind};
use crate::domain::hit::{Answer, HitKind, Method, TokenState, Via};
use crate::domain::keys::TenantKeys;
use crate::domain::message::decimal;
use crate::resolve::{Campaign, Link, fill};

use super::pages::Reader;
use super::record::{Asked, Seen, keep, keep_act};
use super::redirect::{
    Known, QUERY_BYTES_MAX, carries_values, nothing, resolve, scheme, token_state,
};
use super::worker::Worker;
use super::{Parts, respond};

/// Longest body of a press or one-click unsubscribe.
const BODY_BYTES_MAX: usize = 16 << 10;

/// What a URL of an act asks for, resolved.
struct Wanted {
    unsubscribe: bool,
    asked: Asked,
    act: Option<Act>,
    link: Option<Link>,
}

/// Answers `/a/{token}/{act}/{n}` and `/u/{token}/{act}/0`.
pub(super) async fn answer(
    worker: &Worker,
    request: &HttpRequest,
    body: web::Payload,
    (kind, token, tag, number): (&str, &str, &str, &str),
) -> HttpResponse {
    let seen = Seen::new(worker, request.head(), scheme(request));
    let pages = worker.pages.load();
    let pages = pages.for_reader(request.headers());
    let unsubscribe = kind == "u";
    let number = decimal(number).filter(|number| unsubscribe == (*number == 0));
    let Some(number) = number else {
        return nothing(worker, request.head());
    };
    let wanted = resolve(worker, token, |campaign, keys, known| {
        wanted(&seen, campaign, keys, &known, (unsubscribe, tag, number))
    });
    let Some(wanted) = wanted else {
        return nothing(worker, request.head());
    };
    if !takes_acts(worker, asked_host(request)) {
        keep(worker, &seen, &wanted.asked.answered(Answer::Refused));
        return pages.refused();
    }
    match seen.method {
        Method::Post => press(worker, request, body, &seen, wanted, &pages).await,
        Method::Get | Method::Head => page(worker, &seen, &wanted, &pages),
        Method::Other => {
            keep(worker, &seen, &wanted.asked.answered(Answer::Refused));
            respond::not_allowed("GET, HEAD, POST")
        }
    }
}

fn wanted(
    seen: &Seen<'_>,
    campaign: &Campaign,
    keys: &TenantKeys,
    known: &Known,
    (unsubscribe, tag, number): (bool, &str, u32),
) -> Wanted {
    let kind = match (seen.method, unsubscribe) {
        (Method::Post, true) => HitKind::Unsubscribe,
        (Method::Post, false) => HitKind::Press,
        _ => HitKind::Page,
    };
    let link = if unsubscribe {
        campaign.unsubscribe()
    } else {
        campaign
            .link(number)
            .filter(|link| link.kind == LinkKind::Action)
    };
    let link_number = link.map_or(0, |link| link.number.get());
    let asked = Asked::of(kind, campaign, link_number, known);
    let authorised = match known {
        Known::Signed(verified) if verified.authorises(tag.as_bytes(), number, keys) => {
            Some(verified).filter(|_| unsubscribe || link.is_some())
        }
        _ => None,
    };
    let act = authorised.map(|verified| Act {
        at: seen.at,
        kind,
        link: link_number,
        message: verified.payload.message,
        recipient: verified.payload.recipient,
        via: None,
    });
    let token = authorised.map_or(asked.token, token_state);
    Wanted {
        unsubscribe,
        asked: Asked { token, ..asked },
        act,
        link: link.cloned(),
    }
}

/// Whether an act may happen, judged by link and key (DESIGN 5.2).
fn may_act(wanted: &Wanted) -> Answer {
    let Some(link) = &wanted.link else {
        return if wanted.unsubscribe {
            Answer::Acted
        } else {
            Answer::NotFound
        };
    };
    if wanted.unsubscribe {
        // Nobody is kept on a list by a disabled destination or a lost key.
        return Answer::Acted;
    }
    if link.disabled {
        return Answer::Gone;
    }
    match (wanted.asked.token, link.action) {
        (TokenState::Revoked, _) => Answer::Refused,
        (TokenState::Aged, Some(ActionKind::Confirm | ActionKind::Login)) => Answer::AskedAgain,
        _ => Answer::Acted,
    }
}

fn page(worker: &Worker, seen: &Seen<'_>, wanted: &Wanted, pages: &Reader<'_>) -> HttpResponse {
    let may = if wanted.act.is_none() {
        Answer::NotFound
    } else {
        may_act(wanted)
    };
    let answer = match may {
        Answer::Acted if seen.headers.speculative() => Answer::Speculation,
        Answer::Acted => Answer::Page,
        other => other,
    };
    keep(worker, seen, &wanted.asked.answered(answer));
    match answer {
        Answer::Page if wanted.unsubscribe => {
            // A press leads to no destination that is switched off: neither may the page say so.
            let leads_to = wanted.link.as_ref().filter(|link| !link.disabled);
            pages.unsubscribe(leads_to)
        }
        Answer::Page => match &wanted.link {
            Some(link) => pages.action(link),
            None => pages.not_found(),
        },
        Answer::Speculation => respond::too_early(),
        other => refused(pages, other),
    }
}

fn refused(pages: &Reader<'_>, answer: Answer) -> HttpResponse {
    match answer {
        Answer::Gone => pages.gone(),
        Answer::AskedAgain => pages.ask_again(),
        Answer::Refused => pages.refused(),
        _ => pages.not_found(),
    }
}

async fn press(
    worker: &Worker,
    request: &HttpRequest,
    body: web::Payload,
    seen: &Seen<'_>,
    wanted: Wanted,
    pages: &Reader<'_>,
) -> HttpResponse {
    if wanted.act.is_none() {
        // Whoever has no act tag need not be listened to.
        keep(worker, seen, &wanted.asked);
        return pages.not_found();
    }
    let read = rt::time::timeout(
        worker.config.http.body,
        body.to_bytes_limited(BODY_BYTES_MAX),
    )
    .await;
    let body = match read {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return respond::text(StatusCode::BAD_REQUEST, "the body broke off"),
        Ok(Err(_)) => return respond::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Err(_) => return respond::text(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
    };
    let one_click = wanted.unsubscribe && is_one_click(&body);
    let via = wanted
        .unsubscribe
        .then_some(if one_click { Via::OneClick } else { Via::Page });
    let mut answer = may_act(&wanted);
    if answer == Answer::Acted && !one_click && !from_own_page(worker, request, seen) {
        answer = Answer::Refused;
    }
    let query = request
        .uri()
        .query()
        .filter(|query| query.len() <= QUERY_BYTES_MAX);
    let values = wanted
        .link
        .as_ref()
        .is_some_and(|link| carries_values(link, query));
    let asked = Asked {
        answer,
        via,
        values,
        ..wanted.asked
    };
    let Some(act) = wanted.act.filter(|_| answer == Answer::Acted) else {
        keep(worker, seen, &asked);
        return refused(pages, answer);
    };
    if let Err(error) = keep_act(worker, seen, &asked, &Act { via, ..act }).await {
        worker.counters.act_failed();
        tracing::error!(%error, "web: an act could not be kept and was answered 503");
        return pages.try_again();
    }
    let url = wanted.link.as_ref().filter(|link| !link.disabled);
    match url {
        _ if one_click => respond::text(StatusCode::OK, "unsubscribed"),
        Some(link) => respond::see_other(&fill::fill(&link.destination, query)),
        None => pages.unsubscribed(),
    }
}

/// The host that was asked, with its port where one was named: HTTP/2 has it in the target.
pub(super) fn asked_host(request: &HttpRequest) -> &str {
    let header = request.headers().get(HOST);
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => header
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    }
}

/// Whether acts are taken on the host that was asked.
fn takes_acts(parts: &Parts, host: &str) -> bool {
    let live = parts.live.load();
    let allowed = &live.act_hosts;
    allowed.is_empty() || allowed.iter().any(|one| host.eq_ignore_ascii_case(one))
}

/// RFC 8058: `List-Unsubscribe=One-Click`, as a form or as a part of one.
fn is_one_click(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let form = text
        .split('&')
        .any(|pair| pair.trim() == "list-unsubscribe=one-click");
    let part = text
        .split_once("name=\"list-unsubscribe\"")
        .or_else(|| text.split_once("name=list-unsubscribe"))
        .and_then(|(_, after)| {
            after
                .split_once("\n\r\n")
                .or_else(|| after.split_once("\n\n"))
        })
        .is_some_and(|(_, value)| value.trim_start().starts_with("one-click"));
    form || part
}

/// Whether a press comes from our own page, as far as the browser says: another site's page must
/// not press for a reader. What says nothing at all is no browser, and has the act tag.
fn from_own_page(parts: &Parts, request: &HttpRequest, seen: &Seen<'_>) -> bool {
    if let Some(site) = seen.headers.sec_fetch_site {
        return matches!(site, b"same-origin" | b"none");
    }
    let Some(origin) = request
        .headers()
        .get(ORIGIN)
        .map(|origin| origin.as_bytes())
    else {
        return true;
    };
    if origin == parts.base_url.as_bytes() {
        return true;
    }
    let host = asked_host(request);
    let of_scheme = |scheme: &[u8]| origin.strip_prefix(scheme) == Some(host.as_bytes());
    !host.is_empty() && (of_scheme(b"http://") || of_scheme(b"https://"))
}

#[cfg(test)]
mod tests {
    use super::is_one_click;

    #[test]
    fn one_click_bodies() {
        for (body, one_click) in [
            ("List-Unsubscribe=One-Click", true),
            ("List-Unsubscribe=One-Click\r\n", true),
            ("a=b&List-Unsubscribe=One-Click", true),
            (
                "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                 One-Click\r\n--x--\r\n",
                true,
            ),
            (
                "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nNo",
                false,
            ),
            ("", false),
            ("List-Unsubscribe=No", false),
            ("xList-Unsubscribe=One-Clickx", false),
        ] {
            assert_eq!(is_one_click(body.as_bytes()), one_click, "{body:?}");
        }
    }
}
