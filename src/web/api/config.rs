//! The configuration in force, and reading it again.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::config::keys;

use super::super::Parts;
use super::super::auth::IsAdmin;
use super::super::error::WebError;

/// Every key with its value as it was last read, where it was written, and whether a change takes
/// force without a restart.
pub(super) async fn show(_caller: IsAdmin, parts: web::Data<Parts>) -> HttpResponse {
    let last = parts.last_reload();
    let shown = keys().iter().zip(last.values()).map(|(key, value)| {
        json!({
            "key": value.key,
            "value": value.value,
            "origin": value.origin.to_string(),
            "reloaded": key.reloaded,
        })
    });
    let shown: Vec<_> = shown.collect();
    HttpResponse::Ok().json(json!({
        "keys": shown,
        "read_at": last.at,
        "refused": last.refused.as_ref().map(ToString::to_string),
        "restart": last.restart,
    }))
}

/// Reads it again; what may change takes force, or nothing does.
pub(super) async fn reload(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    let reloaded = web::block(move || parts.reload()).await;
    let reloaded = reloaded.map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().json(reloaded?))
}
