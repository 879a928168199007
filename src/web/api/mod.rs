//! `/api/v1`: every route on one page, and what they share.

mod campaigns;
mod events;
mod keys;
mod links;
mod mint;
mod rewrite;
mod short_links;
mod stats;

use actix_web::web;
use serde::de::DeserializeOwned;

use crate::domain::campaign::CampaignId;
use crate::domain::destination::Destination;
use crate::domain::time::Micros;
use crate::resolve::Change;
use crate::store::{Store, StoreError};

use super::Parts;
use super::error::WebError;

/// Largest JSON body; a template with its text part fits many times.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Rows of one page of a list.
const PAGE_ROWS_MAX: u32 = 1_000;
const PAGE_ROWS: u32 = 100;

/// The routes.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/campaigns", web::post().to(campaigns::create))
        .route("/campaigns", web::get().to(campaigns::list))
        .route("/campaigns/{id}", web::get().to(campaigns::get))
        .route("/campaigns/{id}", web::patch().to(campaigns::edit))
        .route(
            "/campaigns/{id}/archive",
            web::post().to(campaigns::archive),
        )
        .route("/campaigns/{id}/links", web::post().to(links::create))
        .route("/campaigns/{id}/links", web::get().to(links::list))
        .route("/campaigns/{id}/links/{number}", web::get().to(links::get))
        .route(
            "/campaigns/{id}/links/{number}",
            web::patch().to(links::edit),
        )
        .route(
            "/campaigns/{id}/links/{number}/disable",
            web::post().to(links::disable),
        )
        .route(
            "/campaigns/{id}/links/{number}/enable",
            web::post().to(links::enable),
        )
        .route("/campaigns/{id}/rewrite", web::post().to(rewrite::rewrite))
        .route("/campaigns/{id}/mint", web::post().to(mint::mint))
        .route(
            "/campaigns/{id}/numbers",
            web::post().to(mint::lease_numbers),
        )
        .route("/campaigns/{id}/stats", web::get().to(stats::campaign))
        .route("/short-links", web::post().to(short_links::create))
        .route("/short-links", web::get().to(short_links::list))
        .route("/short-links/{code}", web::get().to(short_links::get))
        .route("/short-links/{code}", web::patch().to(short_links::edit))
        .route(
            "/short-links/{code}/disable",
            web::post().to(short_links::disable),
        )
        .route(
            "/short-links/{code}/enable",
            web::post().to(short_links::enable),
        )
        .route(
            "/short-links/{code}/stats",
            web::get().to(stats::short_link),
        )
        .route("/events", web::get().to(events::list))
        .route("/events/{id}", web::get().to(events::get))
        .route("/deliveries", web::post().to(events::deliveries))
        .route("/keys", web::post().to(keys::create))
        .route("/key-ring", web::get().to(keys::ring))
        .route("/key-ring/rotate", web::post().to(keys::rotate))
        .route("/key-ring/{id}", web::patch().to(keys::set_state));
}

/// Reads a JSON body; errors point at the member. Handlers call it once they know who asks, so
/// that nobody else's bodies are read.
async fn body<T: DeserializeOwned>(payload: web::Payload) -> Result<T, WebError> {
    let read = payload.to_bytes_limited(BODY_BYTES_MAX).await;
    let bytes = read
        .map_err(|_| WebError::TooLarge(BODY_BYTES_MAX))?
        .map_err(|error| WebError::invalid("", format!("the body broke off: {error}")))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let read = serde_path_to_error::deserialize(&mut json);
    let value = read.map_err(|error| {
        let what = error.inner().to_string();
        WebError::invalid(pointer(error.path()), what)
    })?;
    json.end().map_err(|error| WebError::invalid("", error))?;
    Ok(value)
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
struct Paging {
    after: Option<u32>,
    limit: Option<u32>,
}

impl Paging {
    fn limit(&self) -> Result<u32, WebError> {
        limit(self.limit)
    }
}

fn limit(asked: Option<u32>) -> Result<u32, WebError> {
    match asked.unwrap_or(PAGE_ROWS) {
        limit @ 1..=PAGE_ROWS_MAX => Ok(limit),
        _ => Err(WebError::invalid(
            "/limit",
            format!("write 1 to {PAGE_ROWS_MAX}"),
        )),
    }
}

/// Parameters of a query; errors point at the parameter.
fn query<T: DeserializeOwned>(request: &actix_web::HttpRequest) -> Result<T, WebError> {
    let read = web::Query::<T>::from_query(request.query_string());
    read.map(web::Query::into_inner)
        .map_err(|error| WebError::invalid("", error))
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

/// Everything that the store knows, as changes of the catalogue.
pub(super) async fn stored_catalogue(store: &Store) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    let mut after = 0;
    loop {
        let rows = store.campaigns(after, PAGE_ROWS_MAX).await?;
        let Some(last) = rows.last() else { break };
        after = last.id.get();
        changes.extend(rows.iter().map(campaigns::change));
    }
    changes.extend(store.links(None).await?.iter().map(links::change));
    after = 0;
    loop {
        let rows = store.short_links(after, PAGE_ROWS_MAX).await?;
        let Some(last) = rows.last() else { break };
        after = last.id.get();
        changes.extend(rows.iter().map(short_links::change));
    }
    Ok(changes)
}
