//! Rewriting of templates.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::LinkKind;
use crate::domain::destination::Destination;
use crate::rewrite::{LinkRef, Style, Survey, find_html, find_text, splice_html, splice_text};
use crate::store::{LinkRow, NewLink};

use super::super::Parts;
use super::super::auth::MayMint;
use super::super::error::WebError;
use super::{body, links, publish};

/// Longest tag of a sender, in bytes.
const TAG_BYTES_MAX: usize = 200;

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
    let base_url = parts.base_url.as_str();
    let html = asked
        .html
        .as_deref()
        .map(|html| find_html(html, base_url))
        .transpose();
    let html = html.map_err(|error| WebError::invalid("/html", error))?;
    let text = asked.text.as_deref().map(|text| find_text(text, base_url));

    let mut plan = Plan::new(parts.store()?.links(Some(campaign)).await?);
    let in_html = html.as_ref().map(|survey| plan.take(survey, "html"));
    let in_text = text.as_ref().map(|survey| plan.take(survey, "text"));
    let rows = parts
        .store()?
        .register_links(campaign, &plan.wanted, parts.clock.now())
        .await?;
    publish(&parts, rows.iter().map(links::change).collect());

    let style = Style {
        base_url,
        token_tag: &asked.token_tag,
        act_tag: &asked.act_tag,
        pixel: asked.pixel,
    };
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
    let html = asked.html.as_deref().zip(html.as_ref()).zip(in_html);
    let html = html.map(|((html, survey), at)| splice_html(html, survey, &refs(at), &style).body);
    let text = asked.text.as_deref().zip(text.as_ref()).zip(in_text);
    let text = text.map(|((text, survey), at)| splice_text(text, survey, &refs(at), &style).body);
    Ok(HttpResponse::Ok().json(json!({
        "html": html,
        "text": text,
        "links": rows_shown(&rows),
        "columns": columns(&rows),
        "left_alone": plan.left_alone,
    })))
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
    Err(WebError::invalid(
        pointer,
        "write a merge tag without quotes, angle brackets and breaks",
    ))
}

/// Which links a template needs, each once.
struct Plan {
    known: Vec<LinkRow>,
    wanted: Vec<NewLink>,
    left_alone: Vec<Value>,
}

impl Plan {
    fn new(known: Vec<LinkRow>) -> Self {
        Self {
            known,
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
                    let value = found.registered();
                    let detail = format!("the URL {why}");
                    let left = json!({
                        "part": part, "value": value, "reason": "invalid", "detail": detail,
                    });
                    self.left_alone.push(left);
                    None
                }
            });
        }
        places
    }

    /// A destination that is registered as an action or the like keeps that kind.
    fn place(&mut self, destination: Destination) -> usize {
        let same = |url: &Destination| url.as_str() == destination.as_str();
        if let Some(place) = self.wanted.iter().position(|new| same(&new.destination)) {
            return place;
        }
        let mut registered: Vec<_> = self
            .known
            .iter()
            .filter(|row| same(&row.destination))
            .collect();
        // What acts comes first: an URL that must not be followed blindly never becomes content.
        registered.sort_by_key(|row| match row.kind {
            LinkKind::Action => 0,
            LinkKind::Unsubscribe => 1,
            LinkKind::Honeypot => 2,
            LinkKind::Content => 3,
        });
        let kind = registered.first().map_or(LinkKind::Content, |row| row.kind);
        let action = registered.first().and_then(|row| row.action);
        self.wanted.push(NewLink {
            kind,
            action,
            destination,
            label: None,
        });
        self.wanted.len() - 1
    }
}

fn rows_shown(rows: &[LinkRow]) -> Vec<Value> {
    let shown = |row: &LinkRow| json!({"number": row.number, "url": row.destination.as_str(), "kind": row.kind});
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
