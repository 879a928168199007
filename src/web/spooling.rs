//! Keeps the body of a delivery event before it is answered, without holding up a worker.

use actix_web::{rt, web};

use crate::journal::{ACT_WAIT_MAX, JournalError, Received, Source};

use super::Parts;
use super::error::WebError;

/// Keeps a body in the spool, synced.
pub(super) async fn spooled(
    parts: &Parts,
    source: Source,
    body: web::Bytes,
) -> Result<Received, WebError> {
    let room = parts.journal.spool_room(body.len())?;
    let at = parts.clock.now();
    let kept = web::block(move || room.spool(&source, at, &body));
    match rt::time::timeout(ACT_WAIT_MAX, kept).await {
        Ok(Ok(kept)) => Ok(kept?),
        Ok(Err(error)) => Err(WebError::Internal(error.to_string())),
        // It may be kept all the same; without a record it is never looked at.
        Err(_) => Err(JournalError::NotSynced.into()),
    }
}
