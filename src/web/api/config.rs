//! The configuration in force, and reading it again.

use std::time::Duration;

use actix_web::{HttpResponse, rt, web};
use serde_json::json;

use crate::config::keys;

use super::super::Parts;
use super::super::auth::IsAdmin;
use super::super::error::WebError;

/// How long an answer waits for the reading: a disk, or a server of names, may not answer.
const RELOAD_WAIT_MAX: Duration = Duration::from_secs(10);

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

/// Reads it again; what may change takes force, or nothing does. A reading that hangs goes on, and
/// no other is begun beside it.
pub(super) async fn reload(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    let reloading = async {
        let turn = parts.reload_turn().await;
        let again = parts.clone();
        web::block(move || again.reload(turn)).await
    };
    let reloaded = rt::time::timeout(RELOAD_WAIT_MAX, reloading).await;
    let late = |_| WebError::Unavailable("reading the configuration takes long".to_owned());
    let reloaded = reloaded.map_err(late)?;
    let reloaded = reloaded.map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().json(reloaded?))
}
