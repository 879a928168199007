//! Campaigns.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::{PrivacyLevel, TenantId};
use crate::resolve::{Campaign, Change};
use crate::store::{CampaignEdit, CampaignRow};

use super::super::Parts;
use super::super::auth::MayMint;
use super::super::error::WebError;
use super::{
    Paging, body, campaign_id, last_of_full, name, plain_destination, publish, query, since,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    home_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    name: Option<String>,
    home_url: Option<String>,
    level: Option<PrivacyLevel>,
    archived: Option<bool>,
}

fn shown(row: &CampaignRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "home_url": row.home.as_str(),
        "level": row.level,
        "created_at": row.created_at,
        "archived_at": row.archived_at,
    })
}

pub(super) fn change(row: &CampaignRow) -> Change {
    Change::Campaign(Campaign {
        id: row.id,
        tenant: row.tenant,
        home: row.home.clone(),
        level: row.level,
        links: Vec::new(),
    })
}

pub(super) async fn create(
    _caller: MayMint,
    parts: web::Data<Parts>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let new: New = body(payload).await?;
    name("/name", &new.name)?;
    let home = plain_destination("/home_url", &new.home_url)?;
    let now = parts.clock.now();
    let _turn = parts.edits.lock().await;
    let row = parts
        .store()?
        .create_campaign(TenantId::FIRST, &new.name, &home, now)
        .await?;
    publish(&parts, vec![change(&row)]);
    let location = format!("/api/v1/campaigns/{}", row.id.get());
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .json(shown(&row)))
}

pub(super) async fn list(
    _caller: MayMint,
    parts: web::Data<Parts>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let paging: Paging = query(&request)?;
    let limit = paging.limit()?;
    let rows = parts.store()?.campaigns(paging.after()?, limit).await?;
    let next = last_of_full(&rows, limit).map(|row| row.id);
    let campaigns: Vec<_> = rows.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({"campaigns": campaigns, "next": next})))
}

pub(super) async fn get(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let row = parts.store()?.campaign(campaign_id(&id)?).await?;
    let row = row.ok_or(WebError::NotFound("campaign"))?;
    Ok(HttpResponse::Ok().json(shown(&row)))
}

pub(super) async fn edit(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let edit: Edit = body(payload).await?;
    if let Some(new) = &edit.name {
        name("/name", new)?;
    }
    let home = edit
        .home_url
        .as_deref()
        .map(|url| plain_destination("/home_url", url))
        .transpose()?;
    let edit = CampaignEdit {
        name: edit.name,
        home,
        level: edit.level,
        archived_at: since(edit.archived, parts.clock.now()),
    };
    apply(&parts, &id, &edit).await
}

/// Archives a campaign; its links go on.
pub(super) async fn archive(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let archived_at = Some(Some(parts.clock.now()));
    apply(
        &parts,
        &id,
        &CampaignEdit {
            archived_at,
            ..CampaignEdit::default()
        },
    )
    .await
}

async fn apply(parts: &Parts, id: &str, edit: &CampaignEdit) -> Result<HttpResponse, WebError> {
    let _turn = parts.edits.lock().await;
    let row = parts.store()?.edit_campaign(campaign_id(id)?, edit).await?;
    let row = row.ok_or(WebError::NotFound("campaign"))?;
    publish(parts, vec![change(&row)]);
    Ok(HttpResponse::Ok().json(shown(&row)))
}
