//! Health, on the control listener: whether the process lives, and whether each part works.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::journal::Reason;

use super::Parts;

/// Settling that is further behind than this is no longer well.
const LAG_MAX: Duration = Duration::from_secs(60);

/// How a part is.
struct State {
    ok: bool,
    detail: String,
    /// Members of its object in the long answer.
    figures: Value,
}

impl State {
    fn ok(detail: impl Into<String>, figures: Value) -> Self {
        Self {
            ok: true,
            detail: detail.into(),
            figures,
        }
    }
}

/// A part.
struct Part {
    name: &'static str,
    /// Whether the server is not ready without it.
    needed: bool,
    look: fn(&Looked<'_>) -> State,
}

/// What parts are looked at by.
struct Looked<'p> {
    parts: &'p Parts,
    /// What the store answered.
    store: Result<(), String>,
}

/// Every part, in the order in which they are named.
const PARTS: &[Part] = &[
    part("store", true, store),
    part("journal", true, journal),
    part("settling", false, settling),
    part("catalogue", false, catalogue),
    part("keys", false, keys),
    part("networks", false, networks),
    part("ruleset", false, ruleset),
    part("config", false, config),
    part("tls", false, tls),
];

const fn part(name: &'static str, needed: bool, look: fn(&Looked<'_>) -> State) -> Part {
    Part { name, needed, look }
}

fn store(looked: &Looked<'_>) -> State {
    State {
        ok: looked.store.is_ok(),
        detail: looked
            .store
            .clone()
            .err()
            .unwrap_or_else(|| "open".to_owned()),
        figures: json!({}),
    }
}

fn journal(looked: &Looked<'_>) -> State {
    let journal = &looked.parts.journal;
    let refusing = journal.refusing();
    let state = refusing.map_or("ok", Reason::name);
    let dropped = journal.dropped().into_iter().map(|(_, count)| count);
    State {
        ok: refusing.is_none(),
        detail: refusing.map_or_else(
            || "keeps records".to_owned(),
            |_| format!("{state}: hits are answered and may be lost, acts are answered 503"),
        ),
        figures: json!({
            "state": state,
            "last": journal.last(),
            "synced_to": journal.synced_to(),
            "dropped": dropped.sum::<u64>(),
            "lost_pages": journal.pages_lost(),
            "recovered": journal.counts().recovered.load(Ordering::Relaxed),
        }),
    }
}

fn settling(looked: &Looked<'_>) -> State {
    let parts = looked.parts;
    let waiting = parts
        .settling
        .waiting(parts.journal.last(), parts.clock.now());
    let detail = match waiting {
        _ if parts.live.load().settle_paused => "paused by the configuration".to_owned(),
        None => "unknown while the store has never been open".to_owned(),
        Some((0, _)) => "up to date".to_owned(),
        Some((waiting, lag)) => format!(
            "{waiting} records wait, the oldest for {:.1} s",
            lag.as_secs_f64()
        ),
    };
    State {
        ok: waiting.is_none_or(|(_, lag)| lag <= LAG_MAX),
        detail,
        figures: json!({
            "waiting": waiting.map(|(records, _)| records),
            "lag_seconds": waiting.map(|(_, lag)| lag.as_secs_f64()),
            "settled_to": parts.settling.settled_to(),
        }),
    }
}

fn config(looked: &Looked<'_>) -> State {
    let last = looked.parts.last_reload();
    // Without the values: anybody may ask here, and a value may be a secret.
    let refused = last.refused.as_ref().map(|error| {
        let keys = error.0.iter();
        let keys = keys.map(|problem| format!("{}: {}", problem.origin, problem.key));
        keys.collect::<Vec<_>>().join(", ")
    });
    let detail = match (&refused, last.restart.as_slice()) {
        (Some(_), _) => "refused when it was last read; the one before is in force".to_owned(),
        (None, []) => "in force".to_owned(),
        (None, keys) => format!("in force; at the next start: {}", keys.join(", ")),
    };
    State {
        ok: refused.is_none(),
        detail,
        figures: json!({"read_at": last.at, "refused": refused, "restart": last.restart}),
    }
}

fn tls(looked: &Looked<'_>) -> State {
    let now = i64::from(looked.parts.clock.now().seconds());
    let certificates = looked.parts.certificates.load();
    let wrong: Vec<_> = certificates
        .iter()
        .filter(|it| it.expires <= now)
        .map(|it| format!("the {} listener has no valid certificate", it.listener))
        .collect();
    let detail = match (certificates.is_empty(), wrong.is_empty()) {
        (true, _) => "not spoken".to_owned(),
        (false, true) => "certificates are valid".to_owned(),
        (false, false) => wrong.join("; "),
    };
    State {
        ok: wrong.is_empty(),
        detail,
        figures: json!({"certificates": **certificates}),
    }
}

fn catalogue(looked: &Looked<'_>) -> State {
    let (campaigns, short_links) = looked.parts.catalogue.load().sizes();
    let figures = json!({"campaigns": campaigns, "short_links": short_links});
    State::ok(
        format!("{campaigns} campaigns, {short_links} short links"),
        figures,
    )
}

fn keys(looked: &Looked<'_>) -> State {
    let ring = looked.parts.key_ring.lock();
    let ring = ring.unwrap_or_else(std::sync::PoisonError::into_inner);
    let keys = ring.keys().count();
    State::ok(format!("{keys} in the ring"), json!({"count": keys}))
}

fn networks(looked: &Looked<'_>) -> State {
    let networks = &looked.parts.networks;
    let built_at = networks.table_built_at();
    State::ok(networks.table_source(), json!({"built_at": built_at}))
}

fn ruleset(looked: &Looked<'_>) -> State {
    let rules = looked.parts.rules.load();
    let live = rules.live().label();
    match rules.unread() {
        None => State::ok(live, json!({})),
        Some(unread) => {
            let detail = format!("{unread} is live and cannot be read; judges by {live}");
            State {
                ok: false,
                ..State::ok(detail, json!({}))
            }
        }
    }
}

/// The process lives.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// Whether everything works that is needed: one line, or with `?verbose` JSON of every part. Not
/// ready is a server that stops, too. Redirects do not depend on this: a node that is not ready
/// still answers readers.
pub(super) async fn readyz(request: HttpRequest, parts: web::Data<Parts>) -> HttpResponse {
    let store = match parts.store() {
        Ok(store) => store.check().await.map_err(|error| error.to_string()),
        Err(_) => Err("not open; the server keeps trying".to_owned()),
    };
    let looked = Looked {
        parts: &parts,
        store,
    };
    let mut reasons = Vec::new();
    let mut said = Map::new();
    for Part { name, needed, look } in PARTS {
        let State {
            ok,
            detail,
            figures,
        } = look(&looked);
        if *needed && !ok {
            reasons.push(format!("{name}: {detail}"));
        }
        let mut about = json!({"ok": ok, "needed": needed, "detail": detail});
        if let (Some(about), Value::Object(figures)) = (about.as_object_mut(), figures) {
            about.extend(figures);
        }
        said.insert((*name).to_owned(), about);
    }
    let stopping = parts.stopping.load(Ordering::Relaxed);
    let ready = reasons.is_empty() && !stopping;
    let mut answer = if ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    answer.insert_header(("cache-control", "no-store"));
    let verbose = request.query_string().split('&');
    if verbose
        .map(|pair| pair.split('=').next())
        .any(|name| name == Some("verbose"))
    {
        let version = env!("CARGO_PKG_VERSION");
        let body = json!({"ready": ready, "stopping": stopping, "version": version, "parts": said});
        return answer.json(body);
    }
    let line = match (stopping, ready) {
        (true, _) => "stopping".to_owned(),
        (false, true) => "ready".to_owned(),
        (false, false) => format!("unready: {}", reasons.join("; ")),
    };
    answer
        .content_type("text/plain; charset=utf-8")
        .body(line.replace(char::is_control, " ") + "\n")
}
