//! Requests by which `cupel doctor` finds out whether readers reach this server.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::super::Parts;
use super::super::auth::IsAdmin;
use super::super::error::WebError;
use super::super::probe;

/// Makes a path for one request from outside.
pub(super) async fn create(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    let token = parts.probe.new_token();
    let token = token.map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Created().json(json!({
        "token": token,
        "url": format!("{}{}{token}", parts.base_url, probe::PATH),
    })))
}

/// What was seen of it: `null` as long as it has not been requested.
pub(super) async fn get(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    token: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let seen = parts
        .probe
        .seen(&token)
        .ok_or(WebError::NotFound("probe"))?;
    Ok(HttpResponse::Ok().json(json!({"seen": seen})))
}
