//! Minting: tokens for the recipients of a campaign.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::campaign::{CampaignId, LinkKind};
use crate::domain::keys::TenantKey;
use crate::domain::message::{MessageId, RECIPIENT_ID_BYTES_MAX, RecipientKey};
use crate::domain::token::Minted;

use super::super::Parts;
use super::super::auth::MayMint;
use super::super::error::WebError;
use super::{body, campaign_id};

/// Recipients of one request.
const RECIPIENTS_MAX: usize = 100_000;
/// Act tags of one answer, which is made in memory: a campaign may have twenty thousand actions.
const ACTS_MAX: usize = 1_000_000;
/// Numbers of one lease.
const LEASE_MAX: u32 = 100_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    recipients: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    count: u32,
}

#[derive(Serialize)]
struct Answer<'a> {
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct Message<'a> {
    recipient: &'a str,
    message: String,
    token: String,
    acts: BTreeMap<u32, String>,
    open_url: String,
    unsubscribe_url: String,
    verp: String,
}

/// Recipients of one request to a campaign whose messages have this many act tags.
#[must_use]
pub fn recipients_max(acts: usize) -> usize {
    (ACTS_MAX / acts.max(1)).clamp(1, RECIPIENTS_MAX)
}

/// Makes a message for each recipient.
pub(super) async fn mint(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let asked: Asked = body(payload).await?;
    let count = u32::try_from(asked.recipients.len()).unwrap_or(u32::MAX);
    let known = {
        let snapshot = parts.catalogue.load();
        snapshot
            .campaign(campaign_id(&id)?)
            .map(|(campaign, keys)| {
                let links = campaign.links.iter();
                let actions = links.filter(|link| link.kind == LinkKind::Action);
                let numbers: Vec<_> = actions.map(|link| link.number.get()).collect();
                (campaign.id, keys.clone(), numbers)
            })
    };
    let (campaign, keys, actions) = known.ok_or(WebError::NotFound("campaign"))?;
    let acts = actions.len() + 1;
    let most = recipients_max(acts);
    if asked.recipients.len() > most {
        let each = format!("each message of this campaign has {acts} act tags");
        let detail = format!("at most {most} recipients a request: {each}");
        return Err(WebError::invalid("/recipients", detail));
    }
    let recipients = asked
        .recipients
        .iter()
        .enumerate()
        .map(|(index, id)| {
            let key = keys.recipient_key(id, campaign);
            let pointer = || format!("/recipients/{index}");
            let limit = format!("a recipient id has 1 to {RECIPIENT_ID_BYTES_MAX} bytes");
            key.ok_or_else(|| WebError::invalid(pointer(), limit))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let first = reserve(&parts, campaign, count).await?;
    let minted_at = parts.clock.now().seconds();
    let signing = keys.signing().ok_or_else(no_key)?;
    let signing = signing.clone();
    let base_url = parts.base_url.clone();
    // Signing many is work for another thread: health checks are answered on this one.
    let answer = web::block(move || {
        let numbers = (0..count).map(|offset| first.wrapping_add(offset));
        let signer = Signer {
            campaign,
            minted_at,
            signing,
            actions,
            base_url,
        };
        let all = asked.recipients.iter().zip(recipients).zip(numbers);
        let messages: Vec<_> = all
            .map(|((id, key), number)| signer.message(id, key, number))
            .collect();
        serde_json::to_string(&Answer { messages })
    });
    let answer = answer
        .await
        .map_err(|error| WebError::Internal(error.to_string()))?;
    let json = answer.map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(json))
}

/// Makes the messages of one request.
struct Signer {
    campaign: CampaignId,
    minted_at: u32,
    signing: TenantKey,
    actions: Vec<u32>,
    base_url: String,
}

impl Signer {
    fn message<'a>(&self, recipient: &'a str, key: RecipientKey, number: u32) -> Message<'a> {
        let message = MessageId {
            campaign: self.campaign,
            minted_at: self.minted_at,
            number,
        };
        let minted = Minted::sign(message, key, &self.signing);
        let acts: BTreeMap<_, _> = std::iter::once(0)
            .chain(self.actions.iter().copied())
            .map(|number| (number, minted.act(number, &self.signing)))
            .collect();
        let token = minted.token();
        let base_url = &self.base_url;
        let unsubscribe = acts.get(&0).map(String::as_str).unwrap_or_default();
        Message {
            recipient,
            message: message.to_string(),
            open_url: format!("{base_url}/o/{token}.gif"),
            unsubscribe_url: format!("{base_url}/u/{token}/{unsubscribe}/0"),
            verp: minted.verp(),
            token,
            acts,
        }
    }
}

fn no_key() -> WebError {
    WebError::Internal("the key ring has no signing key".to_owned())
}

async fn reserve(parts: &Parts, campaign: CampaignId, count: u32) -> Result<u32, WebError> {
    let first = parts.store()?.reserve_numbers(campaign, count).await?;
    first.ok_or(WebError::NotFound("campaign"))
}

/// Reserves message numbers for whoever mints offline.
pub(super) async fn lease_numbers(
    _caller: MayMint,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, WebError> {
    let lease: Lease = body(payload).await?;
    if !(1..=LEASE_MAX).contains(&lease.count) {
        return Err(WebError::invalid(
            "/count",
            format!("write 1 to {LEASE_MAX}"),
        ));
    }
    let first = reserve(&parts, campaign_id(&id)?, lease.count).await?;
    Ok(HttpResponse::Created().json(json!({"first": first, "count": lease.count})))
}
