//! What the server adds to a row: which columns a campaign's templates need, and their values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::shutdown::Stop;

use super::super::Failure;
use super::super::connection::{Connection, Request};
use super::progress::Away;

/// How long a call is tried, from its beginning: the server may be starting anew. One that hangs
/// has used this up when its first call ends.
const AWAY_MAX: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Mints for one campaign.
pub(super) struct Minter {
    connection: Connection,
    campaign: u32,
    /// Numbers of acts; 0 is the unsubscribe function, which every campaign has.
    acts: BTreeSet<u32>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    message: &'a str,
    token: &'a str,
    #[serde(borrow)]
    acts: BTreeMap<u32, &'a str>,
}

impl Minter {
    /// Asks which links of the campaign act.
    pub(super) fn of(connection: Connection, campaign: u32) -> Result<Self, Failure> {
        let path = ["campaigns", &campaign.to_string(), "links"];
        let request = Request::get(path).about(about(campaign));
        let answer = connection.call(&request)?;
        let links = answer.get("links").and_then(Value::as_array);
        let actions = links.into_iter().flatten().filter_map(|link| {
            let action = link.get("kind").and_then(Value::as_str) == Some("action");
            let number = link.get("number").and_then(Value::as_u64)?;
            action.then(|| u32::try_from(number).ok()).flatten()
        });
        Ok(Self {
            connection,
            campaign,
            acts: std::iter::once(0).chain(actions).collect(),
        })
    }

    /// Act tags of each message.
    pub(super) fn acts(&self) -> usize {
        self.acts.len()
    }

    /// Names of the columns, as rewriting reports them.
    pub(super) fn columns(&self) -> Vec<String> {
        let acts = self.acts.iter().map(|number| format!("cupel_act_{number}"));
        let first = ["cupel_message", "cupel_token"].map(str::to_owned);
        first.into_iter().chain(acts).collect()
    }

    /// The values of these columns for each recipient. While the server is away it is asked again,
    /// until `stop`.
    pub(super) fn mint(
        &self,
        recipients: &[String],
        stop: &Stop,
        away: &Away,
    ) -> Result<Vec<Vec<String>>, Failure> {
        let path = ["campaigns", &self.campaign.to_string(), "mint"];
        let body = json!({"recipients": recipients});
        let request = Request::post(path).body(&body).about(about(self.campaign));
        let begun = Instant::now();
        let answer = loop {
            match self.connection.read(&request) {
                Err(error) if error.may_pass() && stop.asked() => {
                    return Err(Failure::new(Failure::INTERRUPTED, "interrupted"));
                }
                Err(error) if error.may_pass() && begun.elapsed() < AWAY_MAX => {
                    away.tell(&error, AWAY_MAX);
                    std::thread::sleep(TRY_EVERY);
                }
                other => break other?,
            }
        };
        away.over();
        let unreadable = || {
            let what = "the server's answer to minting is not what this version reads";
            Failure::new(Failure::PROTOCOL, what)
        };
        let answer: Answer<'_> = serde_json::from_slice(&answer).map_err(|_| unreadable())?;
        if answer.messages.len() != recipients.len() {
            return Err(unreadable());
        }
        let values = answer.messages.iter().map(|message| {
            let acts = self.acts.iter().map(|act| message.acts.get(act));
            let first = [Some(&message.message), Some(&message.token)];
            let all = first.into_iter().chain(acts);
            all.map(|value| value.map(|value| (*value).to_owned()))
                .collect::<Option<Vec<_>>>()
        });
        values.collect::<Option<Vec<_>>>().ok_or_else(unreadable)
    }
}

fn about(campaign: u32) -> String {
    format!("campaign {campaign}")
}
