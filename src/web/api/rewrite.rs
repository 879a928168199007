//! Rewriting of templates.

use std::collections::{BTreeSet, HashMap};

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::{ActionKind, LinkKind};
use crate::domain::destination::Destination;
use crate::rewrite::{
    LinkRef, RewriteError, Style, Survey, find_html, find_text, splice_html, splice_text,
    written_bytes_max,
};
use crate::store::{LinkRow, NewLink};

use super::super::Parts;
use super::super::auth::MayMint;
use super::super::error::WebError;
use super::{body, links, publish};

/// Longest tag of a sender, in bytes.
const TAG_BYTES_MAX: usize = 200;
/// Largest part after rewriting: a link of twenty bytes may become one of two thousand.
const WRITTEN_BYTES_MAX: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    html: Option<String>,
    text: Option<String>,
    #[serde(default = "token_tag")]
    token_tag: String,
    #[serde(default = "act_tag")]
    act_tag: String,
    #[serde(default = "pixel")]
    pixel: bool,
}

impl Asked {
    fn style<'a>(&'a self, base_url: &'a str) -> Style<'a> {
        Style {
            base_url,
            token_tag: &self.token_tag,
            act_tag: &self.act_tag,
            pixel: self.pixel,
        }
    }
}

fn token_tag() -> String {
    "{{cupel_token}}".to_owned()
}

fn act_tag() -> String {
    "{{cupel_act_N}}".to_owned()
}

fn pixel() -> bool {
    true
}

/// Rewrites a template: destinations are registered, and become tracked URLs.
pub(super) async fn rewrite(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let asked: Asked = body(payload).await?;
    check_tag("/token_tag", &asked.token_tag)?;
    check_tag("/act_tag", &asked.act_tag)?;
    if !asked.act_tag.contains('N') {
        return Err(WebError::invalid(
            "/act_tag",
            "write N where the link's number belongs",
        ));
    }
    if asked.html.is_none() && asked.text.is_none() {
        return Err(WebError::invalid("", "send html, text, or both"));
    }
    let campaign = links::existing(&parts, &id).await?;
    let base_url = parts.base_url.clone();
    let found = on_a_thread(move || Surveyed::of(asked, &base_url)).await?;
    let found = found.map_err(|(pointer, why)| WebError::invalid(pointer, why))?;

    let mut plan = Plan::new(parts.store()?.links(campaign).await?);
    let in_html = found
        .html
        .as_ref()
        .map(|(_, survey)| plan.take(survey, "html"));
    let in_text = found
        .text
        .as_ref()
        .map(|(_, survey)| plan.take(survey, "text"));
    let _turn = parts.edits.lock().await;
    let rows = parts
        .store()?
        .register_links(campaign, &plan.wanted, parts.clock.now())
        .await?;
    publish(&parts, rows.iter().map(links::change).collect());

    let shown = json!({
        "links": rows_shown(&rows),
        "columns": columns(&rows),
        "left_alone": plan.left_alone,
    });
    let base_url = parts.base_url.clone();
    let done = on_a_thread(move || found.spliced(&base_url, &rows, in_html, in_text)).await?;
    let mut answer = shown;
    if let Some(object) = answer.as_object_mut() {
        object.insert("html".to_owned(), Value::from(done.0));
        object.insert("text".to_owned(), Value::from(done.1));
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Runs what takes long beside the thread that answers health checks.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WebError> {
    web::block(work)
        .await
        .map_err(|error| WebError::Internal(error.to_string()))
}

/// A template and where its links are.
struct Surveyed {
    asked: Asked,
    html: Option<(String, Survey)>,
    text: Option<(String, Survey)>,
}

impl Surveyed {
    /// Refuses what would be too large when it is written again: nothing is registered for it.
    fn of(mut asked: Asked, base_url: &str) -> Result<Self, (&'static str, String)> {
        let (html, text) = (asked.html.take(), asked.text.take());
        let style = asked.style(base_url);
        let survey = |pointer, part: Option<String>, find: fn(&str, &str) -> _| {
            let Some(part) = part else { return Ok(None) };
            let found: Result<Survey, RewriteError> = find(&part, base_url);
            let survey = found.map_err(|error| (pointer, error.to_string()))?;
            if written_bytes_max(part.len(), &survey, &style) > WRITTEN_BYTES_MAX {
                let limit = format!("rewritten, it could have more than {WRITTEN_BYTES_MAX} bytes");
                return Err((pointer, limit));
            }
            Ok(Some((part, survey)))
        };
        let html = survey("/html", html, find_html)?;
        let text = survey("/text", text, find_text)?;
        Ok(Self { asked, html, text })
    }

    /// HTML and text with the tracked URLs of `rows` at their places.
    fn spliced(
        &self,
        base_url: &str,
        rows: &[LinkRow],
        in_html: Option<Vec<Option<usize>>>,
        in_text: Option<Vec<Option<usize>>>,
    ) -> (Option<String>, Option<String>) {
        let style = self.asked.style(base_url);
        let refs = |places: Vec<Option<usize>>| -> Vec<Option<LinkRef>> {
            let link = |row: &LinkRow| LinkRef {
                number: row.number.get(),
                kind: row.kind,
            };
            places
                .into_iter()
                .map(|place| rows.get(place?).map(link))
                .collect()
        };
        let html = self.html.as_ref().zip(in_html);
        let html =
            html.map(|((html, survey), at)| splice_html(html, survey, &refs(at), &style).body);
        let text = self.text.as_ref().zip(in_text);
        let text =
            text.map(|((text, survey), at)| splice_text(text, survey, &refs(at), &style).body);
        (html, text)
    }
}

fn check_tag(pointer: &str, tag: &str) -> Result<(), WebError> {
    let harmless = !tag.is_empty()
        && tag.len() <= TAG_BYTES_MAX
        && !tag
            .chars()
            .any(|c| c.is_control() || matches!(c, '"' | '<' | '>'));
    if harmless {
        return Ok(());
    }
    let form = "without quotes, angle brackets and breaks";
    Err(WebError::invalid(
        pointer,
        format!("write a merge tag of 1 to {TAG_BYTES_MAX} bytes {form}"),
    ))
}

/// Which links a template needs, each once.
struct Plan {
    /// Kind and sub-kind that a destination is registered with, the one that acts first.
    known: HashMap<String, (LinkKind, Option<ActionKind>)>,
    places: HashMap<String, usize>,
    wanted: Vec<NewLink>,
    left_alone: Vec<Value>,
}

impl Plan {
    fn new(rows: Vec<LinkRow>) -> Self {
        let mut known: HashMap<String, (LinkKind, Option<ActionKind>)> = HashMap::new();
        for row in rows {
            let url = row.destination.as_str().to_owned();
            let before = known.get(&url).map(|(kind, _)| *kind);
            if before.is_none_or(|before| precedence(row.kind) < precedence(before)) {
                known.insert(url, (row.kind, row.action));
            }
        }
        Self {
            known,
            places: HashMap::new(),
            wanted: Vec::new(),
            left_alone: Vec::new(),
        }
    }

    /// The place in `wanted` of each link that a survey found; `None` for one that cannot be a
    /// destination.
    fn take(&mut self, survey: &Survey, part: &str) -> Vec<Option<usize>> {
        for one in &survey.left_alone {
            let reason = one.reason.name();
            self.left_alone
                .push(json!({"part": part, "value": one.value, "reason": reason}));
        }
        let mut places = Vec::with_capacity(survey.links.len());
        for found in &survey.links {
            places.push(match Destination::parse(found.registered()) {
                Ok(destination) => Some(self.place(destination)),
                Err(why) => {
                    let detail = format!("the URL {why}");
                    self.left_alone.push(json!({
                        "part": part,
                        "value": found.registered(),
                        "reason": "invalid",
                        "detail": detail,
                    }));
                    None
                }
            });
        }
        places
    }

    /// A destination that is registered as an action or the like keeps that kind: a URL that must
    /// not be followed blindly never becomes content.
    fn place(&mut self, destination: Destination) -> usize {
        let url = destination.as_str().to_owned();
        let next = self.wanted.len();
        let place = *self.places.entry(url).or_insert(next);
        if place == next {
            let registered = self.known.get(destination.as_str()).copied();
            let (kind, action) = registered.unwrap_or((LinkKind::Content, None));
            self.wanted.push(NewLink {
                kind,
                action,
                destination,
                label: None,
            });
        }
        place
    }
}

fn precedence(kind: LinkKind) -> u8 {
    match kind {
        LinkKind::Action => 0,
        LinkKind::Unsubscribe => 1,
        LinkKind::Honeypot => 2,
        LinkKind::Content => 3,
    }
}

fn rows_shown(rows: &[LinkRow]) -> Vec<Value> {
    let shown = |row: &LinkRow| {
        let url = row.destination.as_str();
        json!({"number": row.number, "url": url, "kind": row.kind})
    };
    rows.iter().map(shown).collect()
}

/// Merge columns that the rewritten template needs.
fn columns(rows: &[LinkRow]) -> Vec<String> {
    let acts: BTreeSet<_> = rows.iter().filter_map(act_number).collect();
    let token = std::iter::once("cupel_token".to_owned());
    token
        .chain(acts.into_iter().map(|number| format!("cupel_act_{number}")))
        .collect()
}

/// Number of a link's act: its own, or 0 for the unsubscribe function.
fn act_number(row: &LinkRow) -> Option<u32> {
    match row.kind {
        LinkKind::Action => Some(row.number.get()),
        LinkKind::Unsubscribe => Some(0),
        LinkKind::Content | LinkKind::Honeypot => None,
    }
}
