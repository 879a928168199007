//! Nodes: the processes that share a store.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::domain::shard::Shard;
use crate::journal::EdgeId;
use crate::store::Node;

use super::super::Parts;
use super::super::auth::{IsAdmin, MayRead};
use super::super::error::WebError;

fn shown(node: &Node) -> Value {
    let state = match (node.silent, node.seen_at) {
        (true, _) => "silent",
        (false, Some(_)) => "running",
        (false, None) => "stopped",
    };
    json!({
        "id": node.id.to_string(),
        "state": state,
        "seen_at": node.seen_at,
        "shipped_to": node.shipped_to,
        "shards": node.shards,
        "waiting": node.waiting,
    })
}

/// Every node, and how far it is; a store that is a file has this one.
pub(super) async fn list(
    _caller: MayRead,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    let store = parts.store()?;
    let nodes = match store.shared() {
        Some(shared) => shared.nodes().await?,
        None => vec![alone(&parts)],
    };
    let nodes: Vec<_> = nodes.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({"nodes": nodes, "shards": Shard::COUNT})))
}

/// Forgets an edge that is silent and will not come back.
pub(super) async fn forget(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let id = EdgeId::parse(&id).ok_or(WebError::NotFound("node"))?;
    let store = parts.store()?;
    let shared = store.shared().ok_or(WebError::NotFound("other node"))?;
    let nodes = shared.nodes().await?;
    let node = nodes.iter().find(|node| node.id == id);
    let node = node.ok_or(WebError::NotFound("node"))?;
    if !shared.forget(id).await? && node.seen_at.is_some() {
        let detail = format!("node {id} is heard of; stop it first");
        let pointer = String::new();
        return Err(WebError::Conflict { pointer, detail });
    }
    Ok(HttpResponse::Ok().json(shown(&Node {
        seen_at: None,
        silent: false,
        ..*node
    })))
}

fn alone(parts: &Parts) -> Node {
    let now = parts.clock.now();
    Node {
        id: parts.journal.edge(),
        shipped_to: Some(now),
        seen_at: Some(now),
        silent: false,
        shards: Shard::COUNT.into(),
        waiting: 0,
    }
}
