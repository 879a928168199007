//! Every metric that is exported: its name, kind, labels and meaning. The exporter's descriptions
//! come from here, and docs/metrics.md is held to it.
//!
//! Names are those of Prometheus' conventions: base units, `_total` for what only rises. Values of
//! labels are words of ours, never of a request.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises, from 0 at the start of the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bound, the last of which is infinite.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Its name in the exposition format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name; the unit is its last word, before `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one line.
    pub help: &'static str,
}

impl Metric {
    /// Tells the exporter about it. One without labels is exported from now on: a series that
    /// comes with its first event has no rate before the second.
    pub(super) fn begin(&self) {
        let plain = self.labels.is_empty();
        match self.kind {
            Kind::Counter => {
                metrics::describe_counter!(self.name, self.help);
                if plain {
                    metrics::counter!(self.name).increment(0);
                }
            }
            Kind::Gauge => {
                metrics::describe_gauge!(self.name, self.help);
                if plain {
                    metrics::gauge!(self.name).set(0.0);
                }
            }
            Kind::Histogram(_) => {
                metrics::describe_histogram!(self.name, self.help);
                if plain {
                    drop(metrics::histogram!(self.name));
                }
            }
        }
    }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    of(name, Kind::Counter, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    of(name, Kind::Gauge, help)
}

const fn histogram(name: &'static str, bounds: &'static [f64], help: &'static str) -> Metric {
    of(name, Kind::Histogram(bounds), help)
}

const fn of(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric {
        name,
        kind,
        labels: &[],
        help,
    }
}

impl Metric {
    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// Answers of the hot path, seconds: a few microseconds, or under `sync` the wait for the disk.
const REDIRECT: &[f64] = &[
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_1,
    0.001,
    0.01,
    0.05,
    0.1,
];
/// Waits for a disk, seconds.
const DISK: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];
/// Transactions and API calls, seconds.
const CALL: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// All of them, as docs/metrics.md shows them.
pub const METRICS: &[Metric] = &[
    // Readers.
    counter(
        "cupel_hits_total",
        "Hits kept, by kind and by the class of their provisional judgement",
    )
    .by(&["kind", "class"]),
    counter(
        "cupel_dropped_total",
        "Hits answered and not kept: their ring was full (ring_full), or full because of the disk",
    )
    .by(&["reason"]),
    counter(
        "cupel_unrecorded_hits_total",
        "Hits that a privacy level keeps out of the record",
    ),
    counter(
        "cupel_unknown_requests_total",
        "Requests on nothing known: no hits",
    ),
    counter(
        "cupel_token_invalid_total",
        "Requests whose token is not good: not one at all (malformed), of a campaign that is not \
         known (unknown_campaign), with a wrong MAC (damaged), or of a revoked key (revoked)",
    )
    .by(&["reason"]),
    histogram(
        "cupel_redirect_duration_seconds",
        REDIRECT,
        "From a click, open or short link to its answer, without reading and writing the \
         connection; one in 64 of each worker, so _count is a sample",
    ),
    counter(
        "cupel_acts_failed_total",
        "Presses and unsubscribes that could not be kept and were answered 503",
    ),
    counter(
        "cupel_acked_unsynced_total",
        "Hits answered after sync_wait_ms_max without their sync, under durability sync",
    ),
    // Journal.
    gauge("cupel_journal_bytes", "Bytes of the journal's segments"),
    gauge(
        "cupel_journal_bytes_max",
        "The limit journal.bytes_max: settled segments beyond it are deleted early",
    ),
    gauge(
        "cupel_journal_spool_bytes",
        "Bytes of delivery events' bodies in the spool",
    ),
    gauge(
        "cupel_journal_spool_bytes_max",
        "The limit journal.spool_bytes_max: settled bodies beyond it are deleted early",
    ),
    gauge(
        "cupel_journal_rings",
        "Rings of the journal, one for each worker of the public listener",
    ),
    gauge(
        "cupel_journal_ring_fill_ratio",
        "How full the fullest ring is, 0 to 1: hits that come to a full one are dropped",
    ),
    gauge(
        "cupel_journal_sync_window_seconds",
        "What a power cut would take: from a hit to the end of its sync, of the last sync or the \
         one under way",
    ),
    counter(
        "cupel_journal_late_windows_total",
        "Syncs whose window was longer than 50 ms",
    ),
    histogram(
        "cupel_journal_fsync_duration_seconds",
        DISK,
        "Time of each fsync of the log",
    ),
    gauge(
        "cupel_journal_unsynced_records",
        "Records in the log that would not survive a power cut yet",
    ),
    counter("cupel_journal_sync_errors_total", "fsync errors"),
    counter(
        "cupel_journal_damaged_spans_total",
        "Spans of bytes that did not validate when read",
    ),
    counter(
        "cupel_journal_recovered_records_total",
        "Records that a crash left in the rings, put into the log at the start",
    ),
    counter(
        "cupel_journal_torn_records_total",
        "Records that a crash left half-written in the rings",
    ),
    counter(
        "cupel_journal_lost_pages_total",
        "Pages of the rings and of SQLite's shared memory that the file system refused: restart \
         when the disk is well",
    ),
    counter(
        "cupel_dropped_side_texts_total",
        "Texts of agents and header sets left out, over side_texts_per_hour_max or for a full ring",
    ),
    // Settling.
    gauge(
        "cupel_settle_lag_seconds",
        "Age of the oldest record that waits to be written to the store; 0 if none does, absent \
         until the store was open once",
    ),
    gauge(
        "cupel_settle_waiting_records",
        "Records in the log that are not in the store yet; absent until the store was open once",
    ),
    gauge(
        "cupel_settled_to_timestamp_seconds",
        "Time up to which judgements are final; 0 until that is known",
    ),
    counter(
        "cupel_settle_records_total",
        "Records written to the store, of every kind",
    ),
    counter(
        "cupel_settle_revised_total",
        "Judgements that changed when their window closed",
    ),
    counter(
        "cupel_settle_errors_total",
        "Rounds of settling that failed; what they held is tried again",
    ),
    gauge(
        "cupel_settle_silent_edges",
        "Edges of the store that were not heard of for a minute, and are not waited for",
    ),
    gauge(
        "cupel_settle_unheld_shards",
        "Shards of the store that nobody settles, of 16; what is shipped to them waits",
    ),
    gauge(
        "cupel_settle_inbox_rows",
        "About how many records of all nodes are shipped and not settled",
    ),
    counter(
        "cupel_settle_unreadable_total",
        "Shipped records that could not be read, as of a newer version, and were left out",
    ),
    counter(
        "cupel_settle_reopened_total",
        "Judgements that changed after their window had closed, by what came up to a day later",
    ),
    counter(
        "cupel_settle_neighbours_dropped_total",
        "Hits that no later judgement will see, since their message had 48 others within a day",
    ),
    counter(
        "cupel_rejudged_hits_total",
        "Hits that were looked at to be judged again by a rule set",
    ),
    counter(
        "cupel_rejudged_changed_total",
        "Those of them that got another class, or would",
    ),
    histogram(
        "cupel_settle_duration_seconds",
        CALL,
        "Time of each round of settling that had something to do",
    ),
    // Store.
    gauge("cupel_store_up", "1 while the store is open"),
    gauge(
        "cupel_store_bytes",
        "Bytes of the database and its write-ahead log, looked at once a minute",
    ),
    // Tables.
    gauge("cupel_catalogue_campaigns", "Campaigns in memory"),
    gauge("cupel_catalogue_short_links", "Short links in memory"),
    gauge(
        "cupel_network_table_build_timestamp_seconds",
        "When the ASN table in use was built; 0 if it does not say",
    ),
    // Configuration and TLS.
    gauge(
        "cupel_config_last_reload_successful",
        "1 if the configuration was taken over the last time it was read",
    ),
    gauge(
        "cupel_config_last_reload_success_timestamp_seconds",
        "When the configuration was last taken over",
    ),
    gauge(
        "cupel_tls_certificate_expiry_timestamp_seconds",
        "When the certificate of a listener expires; only with TLS",
    )
    .by(&["listener"]),
    // API.
    counter(
        "cupel_api_requests_total",
        "Requests of the control listener by route; other is none of them",
    )
    .by(&["route"]),
    counter(
        "cupel_api_responses_total",
        "Answers of the control listener by class of status",
    )
    .by(&["status"]),
    histogram(
        "cupel_api_request_duration_seconds",
        CALL,
        "Time of each request under /api/v1, without writing the answer",
    ),
    // Process.
    gauge("cupel_build_info", "1, with the version").by(&["version"]),
    counter(
        "cupel_panics_total",
        "Panics: mistakes of ours, please report them",
    ),
    counter("process_cpu_seconds_total", "User and system CPU time"),
    gauge("process_start_time_seconds", "When the process started"),
    gauge("process_resident_memory_bytes", "Resident memory"),
    gauge("process_virtual_memory_bytes", "Virtual memory"),
    gauge(
        "process_virtual_memory_max_bytes",
        "Most virtual memory that the system allows; 0 if it sets no limit",
    ),
    gauge(
        "process_open_fds",
        "Open file descriptors, connections among them",
    ),
    gauge(
        "process_max_fds",
        "Most file descriptors that the system allows",
    ),
    gauge("process_threads", "Threads"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_keep_to_the_conventions() {
        let mut names = HashSet::new();
        for Metric {
            name, kind, help, ..
        } in METRICS
        {
            assert!(names.insert(name), "{name} twice");
            let own = name.starts_with("cupel_") || name.starts_with("process_");
            let plain = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(own && plain, "{name}");
            let total = name.ends_with("_total");
            assert_eq!(
                total,
                *kind == Kind::Counter,
                "{name}: only counters are totals"
            );
            let other = [
                "_ms", "_millis", "_micros", "_minutes", "_kib", "_percent", "_count",
            ];
            assert!(
                !other.iter().any(|unit| name.contains(unit)),
                "{name}: base units"
            );
            assert!(
                !help.is_empty() && !help.ends_with('.') && !help.contains('|'),
                "{name}"
            );
            if let Kind::Histogram(bounds) = kind {
                assert!(bounds.is_sorted() && name.ends_with("_seconds"), "{name}");
            }
        }
    }
}
