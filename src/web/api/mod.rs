//! `/api/v1`: every route on one page, and what they share.

mod calibration;
mod campaigns;
mod company;
mod config;
mod events;
mod explain;
mod keys;
mod links;
mod mint;
mod nodes;
mod probes;
mod raw_body;
mod rejudgements;
mod rewrite;
mod rulesets;
mod short_links;
mod stats;

use actix_web::{Resource, web};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::campaign::{CampaignId, TenantId};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;
use crate::resolve::{Change, TakeOver};
use crate::store::{CampaignRow, Changed, LinkRow, ShortLinkRow, Store, StoreError};

use super::Parts;
use super::error::{WebError, wrong_method};

pub use mint::recipients_max;
use raw_body::raw_body;

/// Largest JSON body; a template with its text part fits many times.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Rows of one page of a list.
const PAGE_ROWS_MAX: u32 = 1_000;
const PAGE_ROWS: u32 = 100;
/// Rows that are read at once when everything is read.
const LOAD_ROWS: u32 = 10_000;

/// The routes.
pub(super) fn routes(routes: &mut web::ServiceConfig) {
    use web::{get, patch, post};
    routes
        .service(
            at("/campaigns")
                .route(post().to(campaigns::create))
                .route(get().to(campaigns::list)),
        )
        .service(
            at("/campaigns/{id}")
                .route(get().to(campaigns::get))
                .route(patch().to(campaigns::edit)),
        )
        .service(at("/campaigns/{id}/archive").route(post().to(campaigns::archive)))
        .service(
            at("/campaigns/{id}/links")
                .route(post().to(links::create))
                .route(get().to(links::list)),
        )
        .service(
            at("/campaigns/{id}/links/{number}")
                .route(get().to(links::get))
                .route(patch().to(links::edit)),
        )
        .service(at("/campaigns/{id}/links/{number}/disable").route(post().to(links::disable)))
        .service(at("/campaigns/{id}/rewrite").route(post().to(rewrite::rewrite)))
        .service(at("/campaigns/{id}/mint").route(post().to(mint::mint)))
        .service(at("/campaigns/{id}/numbers").route(post().to(mint::lease_numbers)))
        .service(at("/campaigns/{id}/stats").route(get().to(stats::campaign)))
        .service(
            at("/short-links")
                .route(post().to(short_links::create))
                .route(get().to(short_links::list)),
        )
        .service(
            at("/short-links/{code}")
                .route(get().to(short_links::get))
                .route(patch().to(short_links::edit)),
        )
        .service(at("/short-links/{code}/disable").route(post().to(short_links::disable)))
        .service(at("/short-links/{code}/stats").route(get().to(stats::short_link)))
        .service(at("/events").route(get().to(events::list)))
        .service(at("/events/{id}").route(get().to(events::get)))
        .service(at("/events/{id}/explain").route(get().to(explain::get)))
        .service(at("/deliveries").route(post().to(events::deliveries)))
        .service(at("/config").route(get().to(config::show)))
        .service(at("/config/reload").route(post().to(config::reload)))
        .service(at("/probes").route(post().to(probes::create)))
        .service(at("/probes/{token}").route(get().to(probes::get)))
        .service(
            at("/keys")
                .route(post().to(keys::create))
                .route(get().to(keys::list)),
        )
        .service(at("/keys/{id}/revoke").route(post().to(keys::revoke)))
        .service(at("/nodes").route(get().to(nodes::list)))
        .service(at("/nodes/{id}/forget").route(post().to(nodes::forget)))
        .service(at("/key-ring").route(get().to(keys::ring)))
        .service(at("/key-ring/rotate").route(post().to(keys::rotate)))
        .service(at("/key-ring/{id}").route(patch().to(keys::set_state)))
        .configure(judging);
}

/// Routes of what hits are judged by.
fn judging(routes: &mut web::ServiceConfig) {
    use web::{get, post};
    routes
        .service(
            at("/rulesets")
                .route(post().to(rulesets::create))
                .route(get().to(rulesets::list)),
        )
        .service(at("/rulesets/{name}").route(get().to(rulesets::get)))
        .service(at("/rulesets/{name}/use").route(post().to(rulesets::make_live)))
        .service(at("/rulesets/{name}/shadow").route(post().to(rulesets::put_in_shadow)))
        .service(at("/rulesets/{name}/shadow/stop").route(post().to(rulesets::end_shadow)))
        .service(
            at("/rejudgements")
                .route(post().to(rejudgements::create))
                .route(get().to(rejudgements::list)),
        )
        .service(at("/rejudgements/{id}").route(get().to(rejudgements::get)))
        .service(at("/rejudgements/{id}/stop").route(post().to(rejudgements::stop)))
        .service(at("/calibration").route(get().to(calibration::get)));
}

/// A path that answers methods it does not take.
fn at(path: &str) -> Resource {
    web::resource(path).default_service(web::to(wrong_method))
}

/// Reads a JSON body; errors point at the member. Handlers call it once they know who asks, so
/// that nobody else's bodies are read.
async fn body<T: DeserializeOwned>(payload: web::Payload) -> Result<T, WebError> {
    parsed(&raw_body(payload, BODY_BYTES_MAX).await?)
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WebError> {
    // Serde would take an array for an object, member by member.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(WebError::invalid("", "send a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json);
    let value = read.map_err(|error| {
        let what = said(error.inner());
        WebError::invalid(format!("{}{}", pointer(error.path()), member(&what)), what)
    })?;
    json.end().map_err(|error| WebError::invalid("", error))?;
    Ok(value)
}

/// What an error says; of a wrong value without its place, which the pointer names better.
fn said(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match said.strip_suffix(&place) {
        Some(what) if error.is_data() => what.to_owned(),
        _ => said,
    }
}

/// The member that an error of the whole object is about.
fn member(what: &str) -> String {
    let after = ["missing field `", "duplicate field `"]
        .iter()
        .find_map(|begin| what.strip_prefix(begin));
    let name = after.and_then(|rest| rest.split_once('`'));
    name.map_or_else(String::new, |(name, _)| format!("/{name}"))
}

/// RFC 6901 of where an error happened.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&name);
    }
    pointer
}

/// A destination in a body that no message fills.
fn plain_destination(pointer: &str, url: &str) -> Result<Destination, WebError> {
    let parsed = destination(pointer, url)?;
    if parsed.slots() > 0 {
        return Err(WebError::invalid(
            pointer,
            "{v1} is filled in links of a campaign only",
        ));
    }
    Ok(parsed)
}

/// A destination in a body.
fn destination(pointer: &str, url: &str) -> Result<Destination, WebError> {
    Destination::parse(url).map_err(|why| WebError::invalid(pointer, format!("the URL {why}")))
}

/// A name for people in a body: 1 to 200 characters, no control characters.
fn name(pointer: &str, text: &str) -> Result<(), WebError> {
    let length = text.chars().count();
    if (1..=200).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(WebError::invalid(
        pointer,
        "write 1 to 200 characters without line breaks",
    ))
}

/// A campaign number in a path.
fn campaign_id(text: &str) -> Result<CampaignId, WebError> {
    let number = crate::domain::message::decimal(text).and_then(CampaignId::new);
    number.ok_or(WebError::NotFound("campaign"))
}

/// Puts changes into force; the store has taken them.
fn publish(parts: &Parts, changes: Vec<Change>) {
    if let Err(error) = parts.catalogue.apply(changes) {
        // Readers are served from memory all the same; the copy is written anew at next load.
        tracing::error!(%error, "web: the catalogue's local copy could not be written");
    }
}

/// Parameters of a list.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    after: Option<String>,
    limit: Option<String>,
}

impl Paging {
    fn limit(&self) -> Result<u32, WebError> {
        limit(self.limit.as_deref())
    }

    fn after(&self) -> Result<u32, WebError> {
        let number = self.after.as_deref().map(crate::domain::message::decimal);
        let wrong = || WebError::invalid("/after", "write what next said");
        number.map_or(Ok(0), |number| number.ok_or_else(wrong))
    }
}

/// The last row of a page that is full: the next one comes after it.
fn last_of_full<T>(rows: &[T], limit: u32) -> Option<&T> {
    let full = u32::try_from(rows.len()).is_ok_and(|rows| rows == limit);
    rows.last().filter(|_| full)
}

fn limit(asked: Option<&str>) -> Result<u32, WebError> {
    match asked.map_or(Some(PAGE_ROWS), |text| text.parse().ok()) {
        Some(limit @ 1..=PAGE_ROWS_MAX) => Ok(limit),
        _ => Err(WebError::invalid(
            "/limit",
            format!("write 1 to {PAGE_ROWS_MAX}"),
        )),
    }
}

/// Parameters of a query; errors point at the parameter.
fn query<T: DeserializeOwned>(request: &actix_web::HttpRequest) -> Result<T, WebError> {
    let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    let pairs = pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())));
    let object = Value::Object(pairs.collect());
    serde_path_to_error::deserialize(object).map_err(|error| {
        let at = pointer(error.path());
        WebError::invalid(at, error.inner())
    })
}

/// A time that `null` takes away: absent, null or given.
fn optional<'de, D, T>(input: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    serde::Deserialize::deserialize(input).map(Some)
}

/// When something stopped, or not: how edits say "disabled" and "archived".
fn since(on: Option<bool>, now: Micros) -> Option<Option<Micros>> {
    on.map(|on| on.then_some(now))
}

/// Gives a store what an edge knows and it does not. Names and labels are in no local copy.
pub(super) async fn adopt(store: &Store, extra: &[Change], now: Micros) -> Result<(), StoreError> {
    let (mut campaigns, mut links, mut shorts) = (Vec::new(), Vec::new(), Vec::new());
    for change in extra {
        match change {
            Change::Campaign(one) => campaigns.push(CampaignRow {
                id: one.id,
                tenant: one.tenant,
                name: format!("recovered campaign {}", one.id.get()),
                home: one.home.clone(),
                level: one.level,
                created_at: now,
                archived_at: None,
            }),
            Change::Link(campaign, link) => links.push(LinkRow {
                campaign: *campaign,
                number: link.number,
                kind: link.kind,
                action: link.action,
                destination: link.destination.clone(),
                label: None,
                disabled_at: link.disabled.then_some(now),
            }),
            Change::Short(code, link) => shorts.push(ShortLinkRow {
                id: link.id,
                code: code.clone(),
                destination: link.destination.clone(),
                created_at: now,
                expires_at: link.expires_at,
                disabled_at: link.disabled.then_some(now),
            }),
        }
    }
    store.adopt(&campaigns, &links, now).await?;
    store.adopt_short_links(TenantId::FIRST, &shorts).await
}

/// Gives a take-over everything that the store knows; a page at a time, since there may be
/// millions.
pub(super) async fn stored_catalogue(
    store: &Store,
    taking: &mut TakeOver<'_>,
) -> Result<(), StoreError> {
    if taking.knows_no_short_links() {
        let (links, text_bytes) = store.short_links_size().await?;
        taking.expect(links, text_bytes);
    }
    let mut take = |change| taking.take(change);
    let mut after = 0;
    loop {
        let rows = store.campaigns(after, LOAD_ROWS).await?;
        let Some(last) = rows.last() else { break };
        after = last.id.get();
        rows.iter().map(campaigns::change).for_each(&mut take);
    }
    let links = store.all_links().await?;
    links.iter().map(links::change).for_each(&mut take);
    drop(links);
    after = 0;
    loop {
        let rows = store.short_links(after, LOAD_ROWS).await?;
        let Some(last) = rows.last() else { break };
        after = last.id.get();
        rows.iter().map(short_links::change).for_each(&mut take);
    }
    Ok(())
}

/// Puts rows into force that another node has changed.
pub(super) fn take_changed(parts: &Parts, changed: &Changed) {
    let campaigns = changed.campaigns.iter().map(campaigns::change);
    let links = changed.links.iter().map(links::change);
    let short_links = changed.short_links.iter().map(short_links::change);
    publish(parts, campaigns.chain(links).chain(short_links).collect());
}
