//! Follows what other nodes change in a store that several share: the catalogue, the key ring, and
//! which rule set is live.
//! The database tells of every change; where its word does not come through, it is asked.

use std::time::Duration;

use actix_web::{rt, web as actix};

use crate::shutdown::Stop;
use crate::store::{Ear, News, Store};
use crate::web::{self, Parts, ShareError};

/// How often it is asked without a word.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait before it is listened to again.
const LISTEN_AGAIN: u32 = 10;

pub(super) async fn follow(parts: actix::Data<Parts>, stop: Stop) {
    let mut ear: Option<Ear> = None;
    let mut deaf_for = 0;
    let mut said = false;
    while !stop.asked() {
        let Some(store) = parts.store.load_full() else {
            ear = None;
            stop.wait_for(ASK_EVERY).await;
            continue;
        };
        if ear.is_none() && deaf_for == 0 {
            ear = store.listen().await.unwrap_or_default();
            deaf_for = LISTEN_AGAIN;
        }
        deaf_for = deaf_for.saturating_sub(1);
        match take_news(&parts, &store).await {
            Ok(()) => said = false,
            Err(error) if !said => {
                said = true;
                tracing::warn!(%error, "app: what other nodes have changed is not known");
            }
            Err(_) => {}
        }
        tokio::select! {
            heard = hear(&mut ear) => {
                if !heard {
                    ear = None;
                }
            }
            () = rt::time::sleep(ASK_EVERY) => {}
            () = stop.wait() => return,
        }
    }
}

/// Waits for a word; `false` if none can come any more.
async fn hear(ear: &mut Option<Ear>) -> bool {
    match ear {
        Some(ear) => ear.hear().await.is_ok(),
        None => std::future::pending().await,
    }
}

async fn take_news(parts: &Parts, store: &Store) -> Result<(), ShareError> {
    let news = store.news().await?;
    if news.changed {
        // It may lack what is known here. Opened anew, it is given that, or refused.
        let held = parts.store.load_full();
        if held.is_some_and(|held| std::ptr::eq(&raw const *held, store)) {
            parts.store.store(None);
            store.close().await;
        }
        return Ok(());
    }
    // None keeps another from being taken over.
    let ring = take_ring(parts, store, &news).await;
    if let Some(span) = news.catalogue {
        // An edit here that is on its way must not be undone by what was read before it.
        let _turn = parts.edits.lock().await;
        let changed = store.changed(span).await?;
        web::take_changed(parts, &changed);
    }
    let rulesets = take_rulesets(parts, store, &news).await;
    store.followed(&news);
    ring.and(rulesets)
}

async fn take_rulesets(parts: &Parts, store: &Store, news: &News) -> Result<(), ShareError> {
    if news.rulesets != parts.rules.load().as_of() {
        let _turn = parts.edits.lock().await;
        web::take_rulesets(parts, store).await?;
    }
    Ok(())
}

async fn take_ring(parts: &Parts, store: &Store, news: &News) -> Result<(), ShareError> {
    if !web::ring_differs(parts, news.ring_version) {
        return Ok(());
    }
    let _turn = parts.edits.lock().await;
    web::exchange_ring(parts, store).await?;
    tracing::info!("app: took over a key ring that another node has changed");
    Ok(())
}
