//! Links of a campaign.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::{ActionKind, CampaignId, LinkKind, LinkNumber};
use crate::domain::message::decimal;
use crate::resolve::{Change, Link};
use crate::store::{LinkEdit, LinkRow, NewLink};

use super::super::Parts;
use super::super::auth::MayMint;
use super::super::error::WebError;
use super::{body, campaign_id, destination, name, optional, publish, since};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    url: String,
    kind: Option<LinkKind>,
    sub_kind: Option<ActionKind>,
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    url: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    label: Option<Option<String>>,
    disabled: Option<bool>,
}

pub(super) fn shown(row: &LinkRow) -> Value {
    json!({
        "number": row.number,
        "url": row.destination.as_str(),
        "kind": row.kind,
        "sub_kind": row.action,
        "label": row.label,
        "disabled_at": row.disabled_at,
    })
}

pub(super) fn change(row: &LinkRow) -> Change {
    let link = Link {
        number: row.number,
        kind: row.kind,
        action: row.action,
        destination: row.destination.clone(),
        disabled: row.disabled_at.is_some(),
    };
    Change::Link(row.campaign, link)
}

pub(super) async fn create(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let new: New = body(payload).await?;
    let campaign = existing(&parts, &id).await?;
    let kind = new.kind.unwrap_or(LinkKind::Content);
    if new.sub_kind.is_some() && kind != LinkKind::Action {
        return Err(WebError::invalid(
            "/sub_kind",
            "only links of kind action have one",
        ));
    }
    if let Some(label) = &new.label {
        name("/label", label)?;
    }
    let link = NewLink {
        kind,
        action: new.sub_kind,
        destination: destination("/url", &new.url)?,
        label: new.label,
    };
    let _turn = parts.edits.lock().await;
    let rows = parts
        .store()?
        .register_links(campaign, &[link], parts.clock.now())
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| WebError::Internal("no link came back".to_owned()))?;
    publish(&parts, vec![change(row)]);
    let (id, number) = (campaign.get(), row.number.get());
    let location = format!("/api/v1/campaigns/{id}/links/{number}");
    let mut answer = shown(row);
    if let Some(object) = answer.as_object_mut() {
        object.insert("also".to_owned(), also(&parts, row).await?);
    }
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .json(answer))
}

/// Links of other kinds with the same URL: whoever registers an action after its template was
/// rewritten should see that mail may be out with the content link.
async fn also(parts: &Parts, row: &LinkRow) -> Result<Value, WebError> {
    let rows = parts.store()?.links(row.campaign).await?;
    let others = rows.iter().filter(|other| {
        other.number != row.number && other.destination.as_str() == row.destination.as_str()
    });
    Ok(others
        .map(|other| json!({"number": other.number, "kind": other.kind}))
        .collect())
}

pub(super) async fn list(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let campaign = existing(&parts, &id).await?;
    let rows = parts.store()?.links(campaign).await?;
    let links: Vec<_> = rows.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({"links": links})))
}

pub(super) async fn get(
    _caller: MayMint,
    parts: web::Data<Parts>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, WebError> {
    let (campaign, number) = ids(&path)?;
    let rows = parts.store()?.links(campaign).await?;
    let row = rows.iter().find(|row| row.number == number);
    Ok(HttpResponse::Ok().json(shown(row.ok_or(WebError::NotFound("link"))?)))
}

pub(super) async fn edit(
    _caller: MayMint,
    parts: web::Data<Parts>,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let edit: Edit = body(payload).await?;
    if let Some(Some(label)) = &edit.label {
        name("/label", label)?;
    }
    let edit = LinkEdit {
        destination: edit
            .url
            .as_deref()
            .map(|url| destination("/url", url))
            .transpose()?,
        label: edit.label,
        disabled_at: since(edit.disabled, parts.clock.now()),
    };
    apply(&parts, &path, &edit).await
}

pub(super) async fn disable(
    _caller: MayMint,
    parts: web::Data<Parts>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, WebError> {
    let disabled_at = since(Some(true), parts.clock.now());
    apply(
        &parts,
        &path,
        &LinkEdit {
            disabled_at,
            ..LinkEdit::default()
        },
    )
    .await
}

async fn apply(
    parts: &Parts,
    path: &(String, String),
    edit: &LinkEdit,
) -> Result<HttpResponse, WebError> {
    let (campaign, number) = ids(path)?;
    let _turn = parts.edits.lock().await;
    let row = parts.store()?.edit_link(campaign, number, edit).await?;
    let row = row.ok_or(WebError::NotFound("link"))?;
    publish(parts, vec![change(&row)]);
    Ok(HttpResponse::Ok().json(shown(&row)))
}

fn ids(path: &(String, String)) -> Result<(CampaignId, LinkNumber), WebError> {
    let number = decimal(&path.1).and_then(LinkNumber::new);
    Ok((
        campaign_id(&path.0)?,
        number.ok_or(WebError::NotFound("link"))?,
    ))
}

/// The campaign of a path, if there is one.
pub(super) async fn existing(parts: &Parts, id: &str) -> Result<CampaignId, WebError> {
    let id = campaign_id(id)?;
    let row = parts.store()?.campaign(id).await?;
    row.map(|row| row.id).ok_or(WebError::NotFound("campaign"))
}
