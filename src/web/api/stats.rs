//! Statistics.

use actix_web::{HttpResponse, web};

use crate::stats;

use super::super::Parts;
use super::super::auth::MayRead;
use super::super::error::WebError;
use super::links::existing;

pub(super) async fn campaign(
    _caller: MayRead,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let campaign = existing(&parts, &id).await?;
    let store = parts.store()?;
    let links = store.links(campaign).await?;
    Ok(HttpResponse::Ok().json(stats::campaign(&store, campaign.get(), &links).await?))
}

pub(super) async fn short_link(
    _caller: MayRead,
    parts: web::Data<Parts>,
    code: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let store = parts.store()?;
    let row = store
        .short_link(&code)
        .await?
        .ok_or(WebError::NotFound("short link"))?;
    Ok(HttpResponse::Ok().json(stats::short_link(&store, row.id.get()).await?))
}
