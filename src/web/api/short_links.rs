//! Short links.

use actix_web::{HttpRequest, HttpResponse, web};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::{ShortCode, TenantId};
use crate::domain::time::Micros;
use crate::resolve::{Change, ShortLink};
use crate::store::{ShortLinkEdit, ShortLinkRow, StoreError};

use super::super::Parts;
use super::super::auth::MayMint;
use super::super::error::WebError;
use super::{Paging, body, last_of_full, optional, plain_destination, publish, query, since};

/// Random bytes of a code that nobody chose: 48 bits, eight characters.
const CODE_BYTES: usize = 6;
/// How often a taken random code is tried again.
const TRIES_MAX: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    url: String,
    code: Option<String>,
    expires_at: Option<Micros>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    url: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    expires_at: Option<Option<Micros>>,
    disabled: Option<bool>,
}

fn shown(parts: &Parts, row: &ShortLinkRow) -> Value {
    json!({
        "code": row.code,
        "url": row.destination.as_str(),
        "short_url": format!("{}/{}", parts.base_url, row.code),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "disabled_at": row.disabled_at,
    })
}

/// The change that puts a row into force.
pub(super) fn change(row: &ShortLinkRow) -> Change {
    let link = ShortLink {
        id: row.id,
        destination: row.destination.clone(),
        expires_at: row.expires_at,
        disabled: row.disabled_at.is_some(),
    };
    Change::Short(row.code.clone(), link)
}

pub(super) async fn create(
    _caller: MayMint,
    parts: web::Data<Parts>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let new: New = body(payload).await?;
    let url = plain_destination("/url", &new.url)?;
    let chosen = new.code.as_deref().map(|code| {
        ShortCode::parse(code).map_err(|why| WebError::invalid("/code", format!("the code {why}")))
    });
    let chosen = chosen.transpose()?;
    let _turn = parts.edits.lock().await;
    let (store, now) = (parts.store()?, parts.clock.now());
    for _ in 0..TRIES_MAX {
        let code = match &chosen {
            Some(code) => code.clone(),
            None => random_code()?,
        };
        let expires_at = new.expires_at;
        let made = store
            .create_short_link(TenantId::FIRST, code.as_str(), &url, expires_at, now)
            .await;
        let row = match made {
            Err(StoreError::Conflict(_)) if chosen.is_none() => continue,
            Err(StoreError::Conflict(_)) => {
                let detail = format!("the code {:?} is taken", code.as_str());
                return Err(WebError::Conflict {
                    pointer: "/code".to_owned(),
                    detail,
                });
            }
            other => other?,
        };
        publish(&parts, vec![change(&row)]);
        let location = format!("/api/v1/short-links/{}", row.code);
        let answer = shown(&parts, &row);
        return Ok(HttpResponse::Created()
            .insert_header(("location", location))
            .json(answer));
    }
    Err(WebError::Internal(format!(
        "{TRIES_MAX} random codes were taken"
    )))
}

fn random_code() -> Result<ShortCode, WebError> {
    loop {
        let mut bytes = [0; CODE_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| WebError::Internal(error.to_string()))?;
        if let Ok(code) = ShortCode::parse(&BASE64URL_NOPAD.encode(&bytes)) {
            return Ok(code);
        }
    }
}

pub(super) async fn list(
    _caller: MayMint,
    parts: web::Data<Parts>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let paging: Paging = query(&request)?;
    let limit = paging.limit()?;
    let rows = parts.store()?.short_links(paging.after()?, limit).await?;
    let next = last_of_full(&rows, limit).map(|row| row.id);
    let links: Vec<_> = rows.iter().map(|row| shown(&parts, row)).collect();
    Ok(HttpResponse::Ok().json(json!({"short_links": links, "next": next})))
}

pub(super) async fn get(
    _caller: MayMint,
    parts: web::Data<Parts>,
    code: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let row = parts.store()?.short_link(&code).await?;
    let row = row.ok_or(WebError::NotFound("short link"))?;
    Ok(HttpResponse::Ok().json(shown(&parts, &row)))
}

pub(super) async fn edit(
    _caller: MayMint,
    parts: web::Data<Parts>,
    code: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let edit: Edit = body(payload).await?;
    let edit = ShortLinkEdit {
        destination: edit
            .url
            .as_deref()
            .map(|url| plain_destination("/url", url))
            .transpose()?,
        expires_at: edit.expires_at,
        disabled_at: since(edit.disabled, parts.clock.now()),
    };
    apply(&parts, &code, &edit).await
}

pub(super) async fn disable(
    _caller: MayMint,
    parts: web::Data<Parts>,
    code: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let disabled_at = since(Some(true), parts.clock.now());
    apply(
        &parts,
        &code,
        &ShortLinkEdit {
            disabled_at,
            ..ShortLinkEdit::default()
        },
    )
    .await
}

async fn apply(parts: &Parts, code: &str, edit: &ShortLinkEdit) -> Result<HttpResponse, WebError> {
    let _turn = parts.edits.lock().await;
    let row = parts.store()?.edit_short_link(code, edit).await?;
    let row = row.ok_or(WebError::NotFound("short link"))?;
    publish(parts, vec![change(&row)]);
    Ok(HttpResponse::Ok().json(shown(parts, &row)))
}
