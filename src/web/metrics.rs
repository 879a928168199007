//! `/metrics`: what was counted in atomics, brought into the exporter when it is asked.
//!
//! Nothing here touches a disk: a scrape is answered also while one hangs.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{HttpResponse, web};
use metrics::{counter, gauge};

use crate::domain::hit::HitKind;
use crate::domain::judgement::Class;
use crate::domain::time::Micros;
use crate::telemetry;

use super::Parts;

/// Prometheus text.
pub(super) async fn metrics(parts: web::Data<Parts>) -> HttpResponse {
    let Some(handle) = &parts.metrics else {
        return HttpResponse::NotFound().body("this process exports no metrics\n");
    };
    readers(&parts);
    journal(&parts);
    others(&parts, parts.clock.now());
    metrics_process::Collector::default().collect();
    // It reads 0 where /proc shows processes alone, as under our unit.
    gauge!("process_start_time_seconds").set(seconds(parts.started_at));
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(handle.render())
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// As gauges have it; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only f64")]
fn float(value: u64) -> f64 {
    value as f64
}

/// A time as Prometheus writes it, seconds since the epoch.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds fit until the year 2255"
)]
fn seconds(at: Micros) -> f64 {
    at.get() as f64 / 1e6
}

fn readers(parts: &Parts) {
    for kind in HitKind::ALL {
        for class in Class::ALL {
            let labels = [("kind", kind.name()), ("class", class.name())];
            let hits = parts.journal.hits(*kind, *class);
            counter!("cupel_hits_total", &labels).absolute(hits);
        }
    }
    for (reason, value) in parts.journal.dropped() {
        counter!("cupel_dropped_total", "reason" => reason.name()).absolute(value);
    }
    for (reason, value) in parts.counters.tokens_invalid() {
        counter!("cupel_token_invalid_total", "reason" => reason).absolute(value);
    }
    let [unknown, unrecorded, acts_failed] = parts.counters.read();
    counter!("cupel_unknown_requests_total").absolute(unknown);
    counter!("cupel_unrecorded_hits_total").absolute(unrecorded);
    counter!("cupel_acts_failed_total").absolute(acts_failed);
}

fn journal(parts: &Parts) {
    let journal = &parts.journal;
    let (counts, options) = (journal.counts(), journal.options());
    for (name, count) in [
        ("cupel_acked_unsynced_total", &counts.acked_unsynced),
        ("cupel_dropped_side_texts_total", &counts.side_texts_dropped),
        ("cupel_journal_damaged_spans_total", &counts.damaged),
        ("cupel_journal_late_windows_total", &counts.windows_late),
        ("cupel_journal_recovered_records_total", &counts.recovered),
        ("cupel_journal_sync_errors_total", &counts.sync_errors),
        ("cupel_journal_torn_records_total", &counts.torn),
    ] {
        counter!(name).absolute(read(count));
    }
    counter!("cupel_journal_lost_pages_total").absolute(journal.pages_lost());
    let unsynced = journal.last().saturating_sub(journal.synced_to());
    let (rings, fill) = journal.rings();
    for (name, value) in [
        ("cupel_journal_bytes", float(read(&counts.log_bytes))),
        ("cupel_journal_bytes_max", float(options.bytes_max)),
        ("cupel_journal_spool_bytes", float(journal.spool_bytes())),
        (
            "cupel_journal_spool_bytes_max",
            float(options.spool_bytes_max),
        ),
        ("cupel_journal_rings", float(rings as u64)),
        ("cupel_journal_ring_fill_ratio", fill),
        ("cupel_journal_unsynced_records", float(unsynced)),
        (
            "cupel_journal_sync_window_seconds",
            journal.window().as_secs_f64(),
        ),
    ] {
        gauge!(name).set(value);
    }
}

fn others(parts: &Parts, now: Micros) {
    if let Some((waiting, lag)) = parts.settling.waiting(parts.journal.last(), now) {
        gauge!("cupel_settle_lag_seconds").set(lag.as_secs_f64());
        gauge!("cupel_settle_waiting_records").set(float(waiting));
    }
    let (campaigns, short_links) = parts.catalogue.load().sizes();
    let built = parts.networks.table_built_at();
    for (name, value) in [
        (
            "cupel_settled_to_timestamp_seconds",
            seconds(parts.settling.settled_to()),
        ),
        ("cupel_store_up", f64::from(u8::from(parts.store().is_ok()))),
        ("cupel_store_bytes", float(parts.settling.store_bytes())),
        ("cupel_catalogue_campaigns", float(campaigns as u64)),
        ("cupel_catalogue_short_links", float(short_links as u64)),
        (
            "cupel_network_table_build_timestamp_seconds",
            built.map_or(0.0, seconds),
        ),
    ] {
        gauge!(name).set(value);
    }
    counter!("cupel_panics_total").absolute(telemetry::panics());
}
