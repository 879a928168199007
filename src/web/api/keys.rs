//! API keys and the key ring.

use std::sync::PoisonError;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::keys::KeyState;
use crate::domain::message::decimal;
use crate::resolve::{KeyRing, KeyRingError};
use crate::store::{ApiKey, Scope};

use super::super::Parts;
use super::super::auth::{IsAdmin, NewKey};
use super::super::error::WebError;
use super::super::nodes::{offer_ring, take_ring};
use super::{body, name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    scope: Scope,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    state: KeyState,
}

/// Makes an API key; it is shown this once.
pub(super) async fn create(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let new: New = body(payload).await?;
    name("/name", &new.name)?;
    let key = NewKey::random().map_err(|error| WebError::Internal(error.to_string()))?;
    let (store, now) = (parts.store()?, parts.clock.now());
    let row = store
        .create_api_key(&new.name, new.scope, &key.hash(), now)
        .await?;
    let mut made = described(&row);
    if let Some(members) = made.as_object_mut() {
        members.insert("key".to_owned(), key.text().into());
    }
    Ok(HttpResponse::Created().json(made))
}

/// An API key as it is shown: without itself, which nobody knows any more.
fn described(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scope": key.scope,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    })
}

/// Every API key, revoked ones among them.
pub(super) async fn list(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    let keys = parts.store()?.api_keys().await?;
    let keys: Vec<_> = keys.iter().map(described).collect();
    Ok(HttpResponse::Ok().json(json!({"keys": keys})))
}

/// Makes an API key open nothing from now on.
pub(super) async fn revoke(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let id = decimal(&id).ok_or(WebError::NotFound("API key"))?;
    let (store, now) = (parts.store()?, parts.clock.now());
    let revoked = store.revoke_api_key(i64::from(id), now).await?;
    let revoked = revoked.ok_or(WebError::NotFound("API key"))?;
    Ok(HttpResponse::Ok().json(described(&revoked)))
}

fn shown(ring: &KeyRing) -> Value {
    let keys: Vec<_> = ring
        .keys()
        .map(|(id, state)| json!({"id": id, "state": state}))
        .collect();
    json!({"keys": keys})
}

/// Numbers and states of the ring's keys.
pub(super) async fn ring(_caller: IsAdmin, parts: web::Data<Parts>) -> HttpResponse {
    let ring = parts
        .key_ring
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    HttpResponse::Ok().json(shown(&ring))
}

/// Adds a key that signs from now on; the one before goes on verifying.
pub(super) async fn rotate(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    change(&parts, |ring| ring.rotate().map(|_| ())).await
}

/// Moves a key that does not sign to another state.
pub(super) async fn set_state(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let State { state } = body(payload).await?;
    let id = decimal(&id).and_then(|id| u8::try_from(id).ok());
    let id = id.ok_or(WebError::NotFound("key"))?;
    change(&parts, |ring| ring.set_state(id, state)).await
}

async fn change(
    parts: &Parts,
    with: impl FnOnce(&mut KeyRing) -> Result<(), KeyRingError>,
) -> Result<HttpResponse, WebError> {
    let _turn = parts.edits.lock().await;
    let ring = parts.key_ring.lock();
    let mut next = ring.unwrap_or_else(PoisonError::into_inner).clone();
    with(&mut next)?;
    if parts.config.store.is_some() {
        offer_ring(&*parts.store()?, &mut next).await?;
    }
    let answer = shown(&next);
    take_ring(parts, next, true)?;
    Ok(HttpResponse::Ok().json(answer))
}
