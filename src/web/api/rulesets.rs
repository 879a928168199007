//! Rule sets: those that are kept, and which of them is live.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::judge::RuleSet;
use crate::store::{Rejudgement, RuleSetRow, RuleSetUse, StoreError};

use super::super::Parts;
use super::super::auth::{IsAdmin, MayRead};
use super::super::error::WebError;
use super::super::rulesets::{label, put_live, row_of, take_rulesets};
use super::body;

/// What names the live rule set, whichever that is.
const LIVE: &str = "live";
/// Rule sets that are kept: every one is read at the start.
const KEPT_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    text: String,
}

/// Rule sets as the store has them.
pub(super) struct Kept {
    pub(super) rows: Vec<RuleSetRow>,
    pub(super) live: Option<RuleSetUse>,
    /// What counts the judgements of those in shadow.
    shadows: Vec<Rejudgement>,
}

impl Kept {
    pub(super) async fn of(parts: &Parts) -> Result<Self, WebError> {
        let store = parts.store()?;
        Ok(Self {
            rows: store.rulesets().await?,
            live: store.live_ruleset().await?,
            shadows: store.shadows().await?,
        })
    }

    /// The one of this name: with a version, or the newest of that name; the shipped one, or the
    /// live one.
    pub(super) fn named(&self, parts: &Parts, name: &str) -> Result<&RuleSetRow, WebError> {
        let live = self.live.map(|live| live.ruleset);
        let named = self.rows.iter().filter(|row| match name {
            RuleSet::SHIPPED => is_shipped(parts, row),
            LIVE => Some(row.id) == live,
            _ => row.name == name || label(row) == name,
        });
        let newest = named.max_by_key(|row| (row.version, row.created_at));
        newest.ok_or(WebError::NotFound(
            "rule set; cupel ruleset list shows them",
        ))
    }

    /// What counts the judgements of this one.
    pub(super) fn shadow(&self, row: &RuleSetRow) -> Result<&Rejudgement, WebError> {
        let shadow = self.shadows.iter().find(|shadow| shadow.ruleset == row.id);
        shadow.ok_or_else(|| {
            let name = label(row);
            let live = match self.live.is_some_and(|live| live.ruleset == row.id) {
                true => "; it is live, and what is in force is shown where none is named",
                false => "",
            };
            WebError::Conflict {
                pointer: String::new(),
                detail: format!(
                    "what {name} says is not counted apart: begin with cupel ruleset shadow \
                    {name}{live}"
                ),
            }
        })
    }

    fn shown(&self, parts: &Parts, row: &RuleSetRow) -> Value {
        let live = self.live.filter(|live| live.ruleset == row.id);
        // Its lists are long to read in.
        let known = parts
            .rules_of(row.id)
            .filter(|known| known.text() == row.text);
        let rules = known.map_or_else(|| RuleSet::kept(&row.text).map(Arc::new), Ok);
        let rules = rules.as_deref();
        let shadow = self.shadows.iter().find(|shadow| shadow.ruleset == row.id);
        json!({
            "ruleset": label(row),
            "live": live.is_some(),
            "live_since": live.map(|live| live.at),
            "shadow": shadow.map(counted),
            "shipped": is_shipped(parts, row),
            "created_at": row.created_at,
            "human_max": rules.map(RuleSet::human_max).ok(),
            "machine_min": rules.map(RuleSet::machine_min).ok(),
            "window_seconds": rules.map(RuleSet::window_seconds).ok(),
            "error": rules.err().map(ToString::to_string),
        })
    }
}

/// How far what a rule set in shadow says is counted.
pub(super) fn counted(shadow: &Rejudgement) -> Value {
    json!({
        "rejudgement": shadow.id,
        "since": shadow.begun_at,
        "complete": shadow.done,
        "hits": shadow.hits,
        "of": shadow.of.max(shadow.hits),
    })
}

/// One that this version can judge by.
pub(super) fn readable(row: &RuleSetRow) -> Result<RuleSet, WebError> {
    RuleSet::kept(&row.text).map_err(|error| WebError::Conflict {
        pointer: String::new(),
        detail: format!("this version cannot read {}: {error}", label(row)),
    })
}

/// Whether it came with this program.
fn is_shipped(parts: &Parts, row: &RuleSetRow) -> bool {
    row.text == parts.shipped_rules.text()
}

/// Every rule set that was ever kept, the oldest first.
pub(super) async fn list(
    _caller: MayRead,
    parts: web::Data<Parts>,
) -> Result<HttpResponse, WebError> {
    let kept = Kept::of(&parts).await?;
    let shown: Vec<_> = kept
        .rows
        .iter()
        .map(|row| kept.shown(&parts, row))
        .collect();
    Ok(HttpResponse::Ok().json(json!({"rulesets": shown})))
}

/// One of them, with its text.
pub(super) async fn get(
    _caller: MayRead,
    parts: web::Data<Parts>,
    name: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let kept = Kept::of(&parts).await?;
    let row = kept.named(&parts, &name)?;
    let mut shown = kept.shown(&parts, row);
    if let Some(members) = shown.as_object_mut() {
        members.insert("text".to_owned(), row.text.as_str().into());
    }
    Ok(HttpResponse::Ok().json(shown))
}

/// Keeps a rule set. The same text again is the same rule set.
pub(super) async fn create(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let new: New = body(payload).await?;
    let _turn = parts.edits.lock().await;
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    if let Some(row) = kept.rows.iter().find(|row| row.text == new.text) {
        take_rulesets(&parts, &store).await?;
        return Ok(HttpResponse::Ok().json(kept.shown(&parts, row)));
    }
    if new.text.len() > RuleSet::BYTES_MAX {
        return Err(WebError::invalid(
            "/text",
            "more than 1 MiB is not a rule set",
        ));
    }
    let rules = RuleSet::parse(&new.text).map_err(|why| WebError::invalid("/text", why))?;
    let conflict = |detail| WebError::Conflict {
        pointer: "/text".to_owned(),
        detail,
    };
    if [RuleSet::SHIPPED, LIVE].contains(&rules.name()) {
        let taken = rules.name();
        let detail = format!("{taken} names the {taken} rule set here; give yours another name");
        return Err(conflict(detail));
    }
    if kept.rows.len() >= KEPT_MAX {
        return Err(conflict(format!(
            "{KEPT_MAX} rule sets are kept; that is all"
        )));
    }
    let name = rules.label();
    if kept.rows.iter().any(|row| label(row) == name) {
        let detail = format!("{name} is kept with another text; give this one another version");
        return Err(conflict(detail));
    }
    let row = row_of(&rules, parts.clock.now());
    match store.keep_ruleset(&row).await {
        Err(StoreError::Conflict(what)) => {
            // Ids are 16 bits of what the text comes to.
            let detail = format!("{what} is there already; a comment in it gives it another id");
            return Err(conflict(detail));
        }
        kept => drop(kept?),
    }
    take_rulesets(&parts, &store).await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/rulesets/{name}")))
        .json(kept.shown(&parts, &row)))
}

/// Makes one of them live: it judges what comes, and what is settled, from now on.
pub(super) async fn make_live(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    name: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let _turn = parts.edits.lock().await;
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    let row = kept.named(&parts, &name)?;
    readable(row)?;
    // Asked for by its version it stays, whatever newer versions bring.
    let shipped = *name == *RuleSet::SHIPPED;
    let (before, now) = (kept.live.map_or(0, |live| live.number), parts.clock.now());
    if !store.use_ruleset(row.id, shipped, before, now).await? {
        return Err(WebError::Conflict {
            pointer: String::new(),
            detail: "another one was made live at this moment; look, and try again".to_owned(),
        });
    }
    let used = RuleSetUse {
        number: before + 1,
        ruleset: row.id,
        at: now,
        shipped,
    };
    put_live(&parts, &kept.rows, used);
    let now = Kept {
        live: Some(used),
        rows: kept.rows.clone(),
        shadows: kept.shadows.clone(),
    };
    Ok(HttpResponse::Ok().json(now.shown(&parts, row)))
}

/// Counts what one of them says beside what is in force.
pub(super) async fn put_in_shadow(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    name: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    let row = kept.named(&parts, &name)?;
    readable(row)?;
    let (others_max, now) = (parts.config.rulesets_max - 1, parts.clock.now());
    match store.begin_shadow(row.id, others_max, now).await {
        Err(StoreError::Conflict(_)) => {
            let of = |shadow: &Rejudgement| {
                let row = kept.rows.iter().find(|row| row.id == shadow.ruleset);
                row.map_or_else(String::new, label)
            };
            let all: Vec<_> = kept.shadows.iter().map(of).collect();
            let detail = format!(
                "{} rule sets are counted at once, the live one among them; in shadow are: {}; \
                stop one with cupel ruleset shadow NAME --stop, or raise settle.rulesets_max",
                others_max + 1,
                all.join(", "),
            );
            let pointer = String::new();
            return Err(WebError::Conflict { pointer, detail });
        }
        begun => drop(begun?),
    }
    let now = Kept::of(&parts).await?;
    Ok(HttpResponse::Ok().json(now.shown(&parts, now.named(&parts, &name)?)))
}

/// Counts it no more, and forgets what was counted.
pub(super) async fn end_shadow(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    name: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    let row = kept.named(&parts, &name)?;
    let shadow = kept.shadow(row)?;
    store.end_rejudgement(shadow.id, parts.clock.now()).await?;
    let now = Kept::of(&parts).await?;
    Ok(HttpResponse::Ok().json(now.shown(&parts, row)))
}
