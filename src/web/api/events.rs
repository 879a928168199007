//! Events: every recorded hit with its judgement and reasons; and delivery events in.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::PrivacyLevel;
use crate::domain::hit::HitKind;
use crate::domain::judgement::Class;
use crate::domain::message::MessageId;
use crate::domain::record::Target;
use crate::domain::time::Micros;
use crate::journal::{Accepted, EdgeId, Source};
use crate::judge;
use crate::store::{EventFilter, Store, StoredHit};

use super::super::Parts;
use super::super::auth::{IsAdmin, MayRead};
use super::super::error::WebError;
use super::super::spooling::spooled;
use super::links::existing;
use super::{campaign_id, last_of_full, limit, parsed, query, raw_body};

const KINDS: &str = "open, click, page, press or unsubscribe";
const CLASSES: &str = "human, proxied, prefetch, scanner, bot or suspect";

/// Delivery events of one request.
const EVENTS_MAX: usize = 10_000;
/// Largest body of them; it is kept as it came.
const DELIVERIES_BYTES_MAX: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    campaign: Option<String>,
    kind: Option<String>,
    class: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliveries {
    events: Vec<Delivery>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    message: String,
    event: String,
    at: Micros,
}

/// Hits in the order in which they were recorded; `next` is for `after`.
pub(super) async fn list(
    _caller: MayRead,
    parts: web::Data<Parts>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let asked: Asked = query(&request)?;
    let campaign = match asked.campaign.as_deref() {
        Some(id) => {
            let wrong = || WebError::invalid("/campaign", "write the number of a campaign");
            campaign_id(id).map_err(|_| wrong())?;
            Some(existing(&parts, id).await?)
        }
        None => None,
    };
    let filter = EventFilter {
        campaign,
        kind: named("/kind", asked.kind.as_deref(), HitKind::from_name, KINDS)?,
        class: named("/class", asked.class.as_deref(), Class::from_name, CLASSES)?,
        after: named(
            "/after",
            asked.after.as_deref(),
            event_id,
            "the id of an event",
        )?,
        limit: limit(asked.limit.as_deref())?,
    };
    let hits = parts.store()?.events(&filter).await?;
    let next = last_of_full(&hits, filter.limit).map(id);
    let events: Vec<_> = hits.iter().map(|hit| shown(&parts, hit)).collect();
    Ok(HttpResponse::Ok().json(json!({"events": events, "next": next})))
}

fn named<T>(
    pointer: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
    expected: &str,
) -> Result<Option<T>, WebError> {
    let parse = |text: &str| {
        let detail = format!("{text:?} is not {expected}");
        parse(text).ok_or_else(|| WebError::invalid(pointer, detail))
    };
    text.map(parse).transpose()
}

pub(super) async fn get(
    _caller: MayRead,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let hit = found(&*parts.store()?, &id).await?;
    Ok(HttpResponse::Ok().json(shown(&parts, &hit)))
}

/// The hit with this id.
pub(super) async fn found(store: &Store, id: &str) -> Result<StoredHit, WebError> {
    let none = || WebError::NotFound("event");
    let (edge, sequence) = event_id(id).ok_or_else(none)?;
    store.event(edge, sequence).await?.ok_or_else(none)
}

pub(super) fn id(stored: &StoredHit) -> String {
    format!("{}-{}", stored.edge, stored.sequence)
}

fn event_id(text: &str) -> Option<(EdgeId, u64)> {
    let (edge, sequence) = text.split_once('-')?;
    Some((EdgeId::parse(edge)?, sequence.parse().ok()?))
}

fn shown(parts: &Parts, stored: &StoredHit) -> Value {
    let hit = &stored.hit;
    let individual = hit.level == PrivacyLevel::Individual;
    let (campaign, link, short_link) = match hit.target {
        Target::Campaign(campaign, link) => (Some(campaign), (link > 0).then_some(link), None),
        Target::Short(id) => (None, None, Some(id)),
    };
    let asn = hit.network.asn;
    let network = individual.then(|| {
        json!({
            "asn": (asn > 0).then_some(asn),
            "org": parts.networks.organisation(asn),
            "prefix": stored.prefix,
        })
    });
    json!({
        "id": id(stored),
        "at": hit.at,
        "kind": hit.kind,
        "campaign": campaign,
        "link": link,
        "short_link": short_link,
        "message": hit.message.map(|(message, _)| message.to_string()),
        "method": hit.method,
        "scheme": individual.then_some(hit.scheme),
        "network": network,
        "agent": stored.agent.as_deref().map(String::from_utf8_lossy),
        "answer": hit.answer,
        "via": hit.via,
        "token": hit.token,
        "claimed": hit.claimed,
        "honeypot": hit.honeypot,
        "counted": hit.counts(),
        "privacy": hit.level,
        "judgement": judgement(parts, stored),
    })
}

/// The judgement with its sum. An aggregate hit keeps its class alone: score, prior and signals
/// are null.
pub(super) fn judgement(parts: &Parts, stored: &StoredHit) -> Value {
    let hit = &stored.hit;
    let explained = (hit.level == PrivacyLevel::Individual)
        .then(|| parts.rules_of(hit.ruleset))
        .flatten()
        .map(|rules| (judge::explain(&rules, hit.kind, hit.facts), rules));
    let signals = explained.as_ref().map(|(explained, _)| {
        let signal = |(name, weight): &(&str, f64)| json!({"name": name, "weight": weight});
        explained.signals.iter().map(signal).collect::<Vec<_>>()
    });
    let name = parts.rules_of(hit.ruleset);
    let name = name.map(|rules| rules.label());
    json!({
        "score": explained.as_ref().map(|_| hit.verdict.score.percent()),
        "class": hit.verdict.class,
        "human": hit.verdict.class.is_human(),
        "stage": if stored.settled { "settled" } else { "provisional" },
        "revision": stored.revision,
        "ruleset": name,
        "prior": explained.as_ref().map(|(explained, _)| explained.prior),
        "signals": signals,
    })
}

/// Takes acceptances: when a recipient's system took a message. They anchor the judge's times.
pub(super) async fn deliveries(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let raw = raw_body(payload, DELIVERIES_BYTES_MAX).await?;
    let asked: Deliveries = parsed(&raw)?;
    if asked.events.is_empty() || asked.events.len() > EVENTS_MAX {
        return Err(WebError::invalid(
            "/events",
            format!("send 1 to {EVENTS_MAX} events"),
        ));
    }
    let mut accepted = Vec::with_capacity(asked.events.len());
    for (index, event) in asked.events.iter().enumerate() {
        let message = MessageId::parse(&event.message).ok_or_else(|| {
            let pointer = format!("/events/{index}/message");
            WebError::invalid(
                pointer,
                "write the message as mint gave it, such as 1-1700000000-0",
            )
        })?;
        if event.event != "delivered" {
            let pointer = format!("/events/{index}/event");
            return Err(WebError::invalid(
                pointer,
                "only \"delivered\" is understood yet",
            ));
        }
        accepted.push(Accepted {
            at: event.at,
            message,
        });
    }
    let received = spooled(&parts, Source::API, raw).await?;
    parts.journal.append_delivery(&received, &accepted).await?;
    Ok(HttpResponse::Accepted().json(json!({"accepted": accepted.len()})))
}
