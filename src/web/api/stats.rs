//! Statistics: by the judgements in force, or by those of a rule set in shadow.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::judgement::Ledger;
use crate::stats;
use crate::store::StoreError;

use super::super::Parts;
use super::super::auth::MayRead;
use super::super::error::WebError;
use super::super::rulesets::label;
use super::links::existing;
use super::query;
use super::rulesets::{Kept, counted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    ruleset: Option<String>,
}

/// A report, and by whose judgements it is.
#[derive(Serialize)]
struct By<R> {
    #[serde(flatten)]
    report: R,
    /// `None`: by those in force, whichever rule sets made them.
    ruleset: Option<String>,
    /// How far they are counted, of a rule set in shadow.
    shadow: Option<Value>,
}

/// Whose judgements are asked for.
async fn asked(parts: &Parts, request: &HttpRequest) -> Result<(Ledger, By<()>), WebError> {
    let asked: Asked = query(request)?;
    let mut by = By {
        report: (),
        ruleset: None,
        shadow: None,
    };
    let Some(name) = asked.ruleset else {
        return Ok((Ledger::IN_FORCE, by));
    };
    let kept = Kept::of(parts).await?;
    let row = kept.named(parts, &name)?;
    let shadow = kept.shadow(row)?;
    by.ruleset = Some(label(row));
    by.shadow = Some(counted(shadow));
    Ok((shadow.ledger().unwrap_or(Ledger::IN_FORCE), by))
}

/// Answers with the report by whose judgements are asked for.
async fn answer<R: Serialize>(
    parts: &Parts,
    request: &HttpRequest,
    report: impl AsyncFnOnce(Ledger) -> Result<R, StoreError>,
) -> Result<HttpResponse, WebError> {
    let (ledger, _) = asked(parts, request).await?;
    let report = report(ledger).await?;
    // Of a rule set that was taken out of shadow meanwhile, some counts may have been removed.
    let (now, by) = asked(parts, request).await?;
    if now != ledger {
        return Err(WebError::Conflict {
            pointer: String::new(),
            detail: "the rule set was put in shadow anew meanwhile: ask again".to_owned(),
        });
    }
    Ok(HttpResponse::Ok().json(By {
        report,
        ruleset: by.ruleset,
        shadow: by.shadow,
    }))
}

pub(super) async fn campaign(
    _caller: MayRead,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let campaign = existing(&parts, &id).await?;
    let store = parts.store()?;
    let links = store.links(campaign).await?;
    let report = async |ledger| stats::campaign(&store, ledger, campaign.get(), &links).await;
    answer(&parts, &request, report).await
}

pub(super) async fn short_link(
    _caller: MayRead,
    parts: web::Data<Parts>,
    code: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let store = parts.store()?;
    let row = store
        .short_link(&code)
        .await?
        .ok_or(WebError::NotFound("short link"))?;
    let report = async |ledger| stats::short_link(&store, ledger, row.id.get()).await;
    answer(&parts, &request, report).await
}
