//! `cupel journal inspect`.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::domain::act::Act;
use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::network;
use crate::domain::record::{Hit, Target};
use crate::journal::{Accepted, EdgeId, Entry, Received, Record, Side, SideKind};
use crate::judge::SIGNALS;

use super::super::Failure;
use super::super::lines::{Lines, tell};
use super::super::local::Local;
use super::{refused, survey};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Inspect {
    #[command(flatten)]
    local: Local,
    /// First sequence
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from: u64,
    /// Last sequence
    #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Records at most
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Only records of this kind
    #[arg(long)]
    kind: Option<Kind>,
    /// Only hits, acts and acceptances of this campaign
    #[arg(long, value_name = "N", value_parser = campaign)]
    campaign: Option<CampaignId>,
    /// Print readers' full addresses: these are personal data, and kept nowhere else
    #[arg(long)]
    addresses: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// What a record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Opens, clicks, pages, presses, unsubscribes
    Hit,
    /// Agent strings and header sets, by their ids
    Text,
    /// Presses and unsubscribes that took effect
    Act,
    /// Acceptances by recipients' systems
    Accepted,
    /// Delivery events as they came: where their bodies lie
    Received,
}

impl Kind {
    fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Hit(_) => Self::Hit,
            Entry::Side(_) => Self::Text,
            Entry::Act(_) => Self::Act,
            Entry::Accepted(_) => Self::Accepted,
            Entry::Received(_) => Self::Received,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Text => "text",
            Self::Act => "act",
            Self::Accepted => "accepted",
            Self::Received => "received",
        }
    }
}

fn campaign(text: &str) -> Result<CampaignId, String> {
    let number = text.parse().ok().and_then(CampaignId::new);
    number.ok_or_else(|| "write the number of a campaign".to_owned())
}

/// What a record says: names as the API writes them, in the order of reading.
type Fields = Vec<(&'static str, Value)>;

impl Inspect {
    pub(super) fn run(self) -> Result<(), Failure> {
        let survey = survey(&self.local)?;
        let mut lines = Lines::new();
        let mut records = survey.records(self.from, self.to).map_err(refused)?;
        let mut damaged = |path: &Path, offset: u64, bytes: u64| {
            let path = path.display();
            tell(format_args!(
                "cupel: {path}: passed over {bytes} damaged bytes at offset {offset}"
            ));
        };
        let mut left = self.limit;
        while left > 0 {
            let Some(record) = records.read(&mut damaged).map_err(refused)? else {
                break;
            };
            if !self.wants(&record) {
                continue;
            }
            left -= 1;
            if !lines.say(self.line(&record, survey.edge())) {
                break;
            }
        }
        lines.finish()
    }

    fn wants(&self, record: &Record) -> bool {
        let Some(entry) = &record.entry else {
            return self.kind.is_none() && self.campaign.is_none();
        };
        let campaign = match entry {
            Entry::Hit(hit) => match hit.target {
                Target::Campaign(campaign, _) => Some(campaign),
                Target::Short(_) => None,
            },
            Entry::Act(act) => Some(act.message.campaign),
            Entry::Accepted(accepted) => Some(accepted.message.campaign),
            Entry::Side(_) | Entry::Received(_) => None,
        };
        self.kind.is_none_or(|kind| kind == Kind::of(entry))
            && (self.campaign.is_none() || self.campaign == campaign)
    }

    fn line(&self, record: &Record, edge: Option<EdgeId>) -> String {
        let (name, says) = match &record.entry {
            Some(entry) => (Kind::of(entry).name(), fields(entry, self.addresses)),
            None => ("newer", Vec::new()),
        };
        let (sequence, at) = (record.sequence, record.at);
        if self.json {
            let mut object = json!({"sequence": sequence, "at": at, "record": name});
            if let Some(object) = object.as_object_mut() {
                if let (Some(Entry::Hit(_)), Some(edge)) = (&record.entry, edge) {
                    object.insert("event".to_owned(), json!(format!("{edge}-{sequence}")));
                }
                let says = says.into_iter();
                object.extend(says.map(|(name, value)| (name.to_owned(), value)));
            }
            return object.to_string();
        }
        let says = says.iter().filter(|(_, value)| !value.is_null());
        let says: Vec<_> = says
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect();
        format!("{sequence:>8}  {at}  {name:<8}  {}", says.join(" "))
    }
}

/// A value for people. What strangers sent is quoted: it may hold anything.
fn plain(value: &Value) -> String {
    let Some(text) = value.as_str() else {
        return value.to_string();
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

fn fields(entry: &Entry, addresses: bool) -> Fields {
    match entry {
        Entry::Hit(hit) => hit_fields(hit, addresses),
        Entry::Act(act) => act_fields(act),
        Entry::Accepted(Accepted { message, .. }) => vec![
            ("campaign", json!(message.campaign)),
            ("message", json!(message.to_string())),
        ],
        Entry::Received(received) => received_fields(received),
        Entry::Side(Side { kind, id, text }) => {
            let of = match kind {
                SideKind::Agent => "agent",
                SideKind::Headers => "headers",
            };
            vec![
                ("of", json!(of)),
                ("id", json!(id_text(*id))),
                ("text", json!(String::from_utf8_lossy(text))),
            ]
        }
    }
}

fn hit_fields(hit: &Hit, addresses: bool) -> Fields {
    let individual = hit.level == PrivacyLevel::Individual;
    let (campaign, link, short_link) = match hit.target {
        Target::Campaign(campaign, link) => (Some(campaign), (link > 0).then_some(link), None),
        Target::Short(id) => (None, None, Some(id)),
    };
    let id = |id: u64| (id != 0).then(|| id_text(id));
    let asn = hit.network.asn;
    let signals = SIGNALS.iter().filter(|signal| hit.facts.has(signal.bit));
    let signals: Vec<_> = signals.map(|signal| signal.name).collect();
    let mut fields = vec![
        ("kind", json!(hit.kind)),
        ("campaign", json!(campaign)),
        ("link", json!(link)),
        ("short_link", json!(short_link)),
        ("message", json!(hit.message.map(|(id, _)| id.to_string()))),
        ("class", json!(hit.verdict.class)),
        (
            "score",
            json!(individual.then(|| hit.verdict.score.percent())),
        ),
        ("answer", json!(hit.answer)),
        ("method", json!(hit.method)),
        ("scheme", json!(individual.then_some(hit.scheme))),
        ("token", json!(hit.token)),
        ("via", json!(hit.via)),
        ("privacy", json!(hit.level)),
        ("counted", json!(hit.counts())),
        ("claimed", json!(hit.claimed)),
        ("honeypot", json!(hit.honeypot)),
        ("agent", json!(id(hit.agent))),
        ("headers", json!(id(hit.headers))),
        ("asn", json!((asn > 0).then_some(asn))),
        ("prefix", json!(hit.address.map(network::prefix))),
        ("ruleset", json!(hit.ruleset.0)),
        ("signals", json!(individual.then_some(signals))),
    ];
    if addresses {
        fields.push(("address", json!(hit.address)));
    }
    fields
}

fn act_fields(act: &Act) -> Fields {
    vec![
        ("kind", json!(act.kind)),
        ("campaign", json!(act.message.campaign)),
        ("link", json!((act.link > 0).then_some(act.link))),
        ("message", json!(act.message.to_string())),
        ("via", json!(act.via)),
    ]
}

fn received_fields(received: &Received) -> Fields {
    vec![
        ("source", json!(received.source.as_str())),
        ("length", json!(received.length)),
        ("digest", json!(HEXLOWER.encode(&received.digest))),
        ("file", json!(received.file())),
        ("offset", json!(received.offset)),
    ]
}

fn id_text(id: u64) -> String {
    format!("{id:016x}")
}
