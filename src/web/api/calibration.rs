//! How a rule set judges hits of which something else says whose they are.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::domain::time::Micros;
use crate::judge::RuleSet;
use crate::stats;

use super::super::Parts;
use super::super::auth::MayRead;
use super::super::error::WebError;
use super::query;
use super::rulesets::{Kept, readable};

/// Weeks that are shown where nobody says how many.
const WEEKS: u32 = 12;
const WEEKS_MAX: u32 = 520;
const WEEK_MICROS: i64 = 7 * 86_400 * 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    ruleset: Option<String>,
    weeks: Option<String>,
}

pub(super) async fn get(
    _caller: MayRead,
    parts: web::Data<Parts>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let asked: Asked = query(&request)?;
    let weeks = asked.weeks.map_or(Some(WEEKS), |text| text.parse().ok());
    let Some(weeks @ 1..=WEEKS_MAX) = weeks else {
        return Err(WebError::invalid(
            "/weeks",
            format!("write 1 to {WEEKS_MAX}"),
        ));
    };
    let store = parts.store()?;
    let live = parts.rules.load_full();
    let rules = match &asked.ruleset {
        None => RuleSet::clone(live.live()),
        Some(name) => {
            let kept = Kept::of(&parts).await?;
            let row = kept.named(&parts, name)?;
            readable(row)?
        }
    };
    let since = parts.clock.now().plus(-WEEK_MICROS * i64::from(weeks - 1));
    let since = Micros::new(since.get().max(0));
    Ok(HttpResponse::Ok().json(stats::calibration(&store, &rules, since).await?))
}
