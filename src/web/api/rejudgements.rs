//! History judged again, by the live rule set or only to see what another would change.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::judgement::{Class, RejudgeMode};
use crate::judge::SIGNALS;
use crate::store::{Part, Reclassed, Rejudgement, StoreError};

use super::super::Parts;
use super::super::auth::{IsAdmin, MayRead};
use super::super::error::WebError;
use super::super::rulesets::label;
use super::links::existing;
use super::rulesets::{Kept, readable};
use super::{Paging, body, last_of_full, query};

/// Campaigns that are shown, those with the most changes first.
const CAMPAIGNS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    ruleset: Option<String>,
    campaign: Option<u32>,
    #[serde(default)]
    dry_run: bool,
}

fn shown(kept: &Kept, one: &Rejudgement) -> Value {
    let row = kept.rows.iter().find(|row| row.id == one.ruleset);
    let state = match (one.ended_at, one.done) {
        // One in shadow goes on with what comes.
        (None, true) => "counting",
        (None, false) => "running",
        (Some(_), true) => "done",
        (Some(_), false) => "stopped",
    };
    json!({
        "id": one.id,
        "ruleset": row.map(label),
        "mode": one.mode,
        "campaign": one.campaign,
        "state": state,
        "begun_at": one.begun_at,
        "ended_at": one.ended_at,
        "hits": one.hits,
        "of": one.of.max(one.hits),
        "changed": one.changed,
    })
}

/// Asks for history to be judged again.
pub(super) async fn create(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let new: New = body(payload).await?;
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    let live = kept.live.map(|live| live.ruleset);
    let row = match &new.ruleset {
        Some(name) => kept.named(&parts, name)?,
        None => {
            let row = kept.rows.iter().find(|row| Some(row.id) == live);
            row.ok_or(WebError::NotFound("live rule set"))?
        }
    };
    readable(row)?;
    let mode = match new.dry_run {
        true => RejudgeMode::DryRun,
        false if Some(row.id) == live => RejudgeMode::InForce,
        false => return Err(not_live(&label(row))),
    };
    let campaign = match new.campaign {
        Some(number) => Some(existing(&parts, &number.to_string()).await?),
        None => None,
    };
    let now = parts.clock.now();
    let begun = store.begin_rejudgement(row.id, mode, campaign, now).await;
    let id = begun.map_err(|error| match error {
        StoreError::Conflict(_) => not_live(&label(row)),
        error => error.into(),
    })?;
    let begun = store.rejudgement(id).await?;
    let begun = begun.ok_or(WebError::NotFound("rejudgement"))?;
    Ok(HttpResponse::Accepted()
        .insert_header(("location", format!("/api/v1/rejudgements/{id}")))
        .json(shown(&kept, &begun)))
}

fn not_live(name: &str) -> WebError {
    WebError::Conflict {
        pointer: "/ruleset".to_owned(),
        detail: format!(
            "{name} is not live, and new hits would go on being judged by another: make it so with \
            cupel ruleset use {name}, or ask for a dry run"
        ),
    }
}

/// What was judged again, the newest first.
pub(super) async fn list(
    _caller: MayRead,
    parts: web::Data<Parts>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let paging: Paging = query(&request)?;
    let limit = paging.limit()?;
    let before = match paging.after()? {
        0 => i64::MAX,
        after => i64::from(after),
    };
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    let rows = store.rejudgements(before, limit).await?;
    let next = last_of_full(&rows, limit).map(|row| row.id);
    let all: Vec<_> = rows.iter().map(|one| shown(&kept, one)).collect();
    Ok(HttpResponse::Ok().json(json!({"rejudgements": all, "next": next})))
}

/// How far one is, and what it came to.
pub(super) async fn get(
    _caller: MayRead,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let (store, kept) = (parts.store()?, Kept::of(&parts).await?);
    let one = found(&parts, &id).await?;
    let mut answer = shown(&kept, &one);
    let classes = store.rejudged_classes(one.id).await?;
    if let (Some(members), Value::Object(more)) = (answer.as_object_mut(), came_to(&classes)) {
        members.extend(more);
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Stops one; what it has changed stays so.
pub(super) async fn stop(
    _caller: IsAdmin,
    parts: web::Data<Parts>,
    id: web::Path<String>,
) -> Result<HttpResponse, WebError> {
    let one = found(&parts, &id).await?;
    let store = parts.store()?;
    store.end_rejudgement(one.id, parts.clock.now()).await?;
    let kept = Kept::of(&parts).await?;
    let now = found(&parts, &id).await?;
    Ok(HttpResponse::Ok().json(shown(&kept, &now)))
}

async fn found(parts: &Parts, id: &str) -> Result<Rejudgement, WebError> {
    let none = || WebError::NotFound("rejudgement");
    let id = crate::domain::message::decimal(id).ok_or_else(none)?;
    let one = parts.store()?.rejudgement(i64::from(id)).await?;
    one.ok_or_else(none)
}

/// By class, by signal and by campaign, the most hits first.
fn came_to(classes: &[(Reclassed, i64)]) -> Value {
    let mut by_class: BTreeMap<(&str, Class, Class), i64> = BTreeMap::new();
    let mut by_signal: BTreeMap<(&str, Class, Class), i64> = BTreeMap::new();
    let mut by_campaign: BTreeMap<u32, Gains> = BTreeMap::new();
    for (reclassed, hits) in classes {
        let Reclassed { was, class, .. } = *reclassed;
        match reclassed.part {
            Part::Campaign(number) => {
                let kind = reclassed.kind.name();
                *by_class.entry((kind, was, class)).or_default() += hits;
                by_campaign
                    .entry(number)
                    .or_default()
                    .add(was, class, *hits);
            }
            Part::Signal(bit) => {
                let signal = SIGNALS.iter().find(|signal| signal.bit == bit);
                let name = signal.map_or("unknown", |signal| signal.name);
                *by_signal.entry((name, was, class)).or_default() += hits;
            }
        }
    }
    let rows = |by: BTreeMap<(&str, Class, Class), i64>, what: &str| {
        let row =
            |((of, was, class), hits)| json!({what: of, "was": was, "class": class, "hits": hits});
        let mut by: Vec<_> = by.into_iter().collect();
        by.sort_by_key(|(_, hits)| -hits);
        by.into_iter().map(row).collect::<Vec<_>>()
    };
    let mut campaigns: Vec<_> = by_campaign.into_iter().collect();
    campaigns.sort_by_key(|(_, gains)| -gains.changed);
    let campaigns_changed = campaigns.len();
    let campaigns = campaigns.iter().take(CAMPAIGNS_MAX).map(|(number, gains)| {
        json!({
            "campaign": (*number > 0).then_some(number),
            "changed": gains.changed,
            "human": gains.human,
        })
    });
    json!({
        "by_class": rows(by_class, "kind"),
        "by_signal": rows(by_signal, "signal"),
        "by_campaign": campaigns.collect::<Vec<_>>(),
        "campaigns_changed": campaigns_changed,
    })
}

/// What a campaign gains.
#[derive(Default)]
struct Gains {
    changed: i64,
    /// Hits of people, more or fewer.
    human: i64,
}

impl Gains {
    fn add(&mut self, was: Class, class: Class, hits: i64) {
        self.changed += hits;
        self.human += match (was.is_human(), class.is_human()) {
            (true, false) => -hits,
            (false, true) => hits,
            _ => 0,
        };
    }
}
