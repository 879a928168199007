//! Health and metrics of the control listener.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::journal::Reason;

use super::Parts;

/// The process lives.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// Whether everything works. Redirects do not depend on this: a node that is not ready for the
/// control plane still answers readers.
pub(super) async fn readyz(parts: web::Data<Parts>) -> HttpResponse {
    let store = match parts.store() {
        Ok(store) => store.check().await.map_err(|error| error.to_string()),
        Err(_) => Err("not open; the server keeps trying".to_owned()),
    };
    let (campaigns, short_links) = parts.catalogue.load().sizes();
    let (refusing, dropped) = (parts.journal.refusing(), parts.journal.dropped());
    let ready = store.is_ok() && refusing.is_none();
    let body = json!({
        "ready": ready,
        "store": store.as_ref().err().map_or("ok", String::as_str),
        "journal": {
            "last": parts.journal.last(),
            "synced_to": parts.journal.synced_to(),
            "state": refusing.map_or("ok", Reason::name),
            "dropped": dropped.into_iter().map(|(_, count)| count).sum::<u64>(),
            "lost_pages": parts.journal.pages_lost(),
            "recovered": parts.journal.counts().recovered.load(Ordering::Relaxed),
        },
        "catalogue": {"campaigns": campaigns, "short_links": short_links},
        "networks": parts.networks.table_source(),
        "ruleset": parts.ruleset_name(),
    });
    if ready {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// Prometheus text.
pub(super) async fn metrics(parts: web::Data<Parts>) -> HttpResponse {
    let Some(handle) = &parts.metrics else {
        return HttpResponse::NotFound().body("this process exports no metrics\n");
    };
    publish(&parts);
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(handle.render())
}

/// Brings what is counted in atomics into the exporter.
fn publish(parts: &Parts) {
    let journal = parts.journal.counts();
    let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let [unknown, unrecorded, acts_failed] = parts.counters.read();
    for (name, value) in [
        ("cupel_hits_total", parts.journal.hits()),
        ("cupel_unknown_requests_total", unknown),
        ("cupel_unrecorded_hits_total", unrecorded),
        ("cupel_acts_failed_total", acts_failed),
        (
            "cupel_journal_sync_errors_total",
            read(&journal.sync_errors),
        ),
        ("cupel_journal_damaged_spans_total", read(&journal.damaged)),
        (
            "cupel_journal_recovered_records_total",
            read(&journal.recovered),
        ),
        ("cupel_journal_torn_records_total", read(&journal.torn)),
        (
            "cupel_journal_late_windows_total",
            read(&journal.windows_late),
        ),
        ("cupel_acked_unsynced_total", read(&journal.acked_unsynced)),
        ("cupel_journal_lost_pages_total", parts.journal.pages_lost()),
    ] {
        metrics::counter!(name).absolute(value);
    }
    for (reason, value) in parts.journal.dropped() {
        metrics::counter!("cupel_dropped_total", "reason" => reason.name()).absolute(value);
    }
    let texts = read(&journal.side_texts_dropped);
    metrics::counter!("cupel_dropped_side_texts_total").absolute(texts);
    let gauge = |value: u64| u32::try_from(value).map_or(f64::from(u32::MAX), f64::from);
    let behind = parts
        .journal
        .last()
        .saturating_sub(parts.journal.synced_to());
    metrics::gauge!("cupel_journal_unsynced_records").set(gauge(behind));
    let window = parts.journal.window().as_secs_f64();
    metrics::gauge!("cupel_journal_sync_window_seconds").set(window);
    metrics::gauge!("cupel_store_up").set(f64::from(u8::from(parts.store().is_ok())));
}
