//! `cupel events`: every recorded hit, and why it was judged as it was.

use std::num::NonZeroU64;

use serde_json::Value;

use crate::domain::hit::HitKind;
use crate::domain::judgement::Class;

use super::Failure;
use super::ask::{Ask, Pages, one_of};
use super::connection::Request;
use super::lines::Lines;
use super::sheet::{Column, Form, Sheet, column, print_fields};

const COLUMNS: &[Column] = &[
    column("AT", "/at", Form::Time),
    column("KIND", "/kind", Form::Text),
    column("CLASS", "/judgement/class", Form::Text),
    column("SCORE", "/judgement/score", Form::Number),
    column("CAMPAIGN", "/campaign", Form::Number),
    column("LINK", "/link", Form::Number),
    column("MESSAGE", "/message", Form::Text),
    column("NETWORK", "/network/org", Form::Text),
    column("ID", "/id", Form::Text),
];

const FIELDS: &[Column] = &[
    column("ID", "/id", Form::Text),
    column("AT", "/at", Form::Text),
    column("KIND", "/kind", Form::Text),
    column("CAMPAIGN", "/campaign", Form::Number),
    column("LINK", "/link", Form::Number),
    column("SHORT LINK", "/short_link", Form::Number),
    column("MESSAGE", "/message", Form::Text),
    column("METHOD", "/method", Form::Text),
    column("SCHEME", "/scheme", Form::Text),
    column("NETWORK", "/network/org", Form::Text),
    column("ASN", "/network/asn", Form::Number),
    column("PREFIX", "/network/prefix", Form::Text),
    column("AGENT", "/agent", Form::Text),
    column("ANSWER", "/answer", Form::Text),
    column("VIA", "/via", Form::Text),
    column("TOKEN", "/token", Form::Text),
    column("CLAIMED", "/claimed", Form::Text),
    column("HONEYPOT", "/honeypot", Form::Text),
    column("COUNTED", "/counted", Form::Text),
    column("PRIVACY", "/privacy", Form::Text),
    column("CLASS", "/judgement/class", Form::Text),
    column("HUMAN", "/judgement/human", Form::Text),
    column("STAGE", "/judgement/stage", Form::Text),
    column("REVISION", "/judgement/revision", Form::Number),
    column("RULE SET", "/judgement/ruleset", Form::Text),
];

#[derive(Debug, clap::Args)]
pub(super) struct Events {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List events by node, and in the order in which that recorded them
    ///
    /// Example: cupel events list --campaign 7 --kind click --class scanner --json
    List(List),
    /// Show one event, and its judgement so that it can be redone by hand
    ///
    /// Example: cupel events show 1f0c55aa-1042
    Show {
        /// The event's id
        #[arg(value_parser = id)]
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only events of this campaign
    #[arg(long, value_name = "N")]
    campaign: Option<u32>,
    /// Only events of this kind
    #[arg(long, value_parser = one_of(HitKind::ALL, HitKind::name))]
    kind: Option<HitKind>,
    /// Only events of this class
    #[arg(long, value_parser = one_of(Class::ALL, Class::name))]
    class: Option<Class>,
    /// Only events recorded after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Events at most
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU64>,
    /// Wait for new ones at the end
    #[arg(long)]
    follow: bool,
}

pub(super) fn id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("write an id as `cupel events list` shows it".to_owned())
}

impl Events {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, what } = self;
        match what {
            What::List(list) => list.run(&ask),
            What::Show { id } => show(&ask, &id),
        }
    }
}

impl List {
    fn run(self, ask: &Ask) -> Result<(), Failure> {
        let request = Request::get(["events"])
            .with("campaign", self.campaign)
            .with("kind", self.kind.map(HitKind::name))
            .with("class", self.class.map(Class::name));
        let request = match self.campaign {
            Some(campaign) => request.about(format!("campaign {campaign}")),
            None => request,
        };
        let pages = Pages {
            after: self.after.as_deref(),
            follow: self.follow,
            ..Pages::of(&request, "events", self.limit)
        };
        pages.print(ask, COLUMNS)
    }
}

fn show(ask: &Ask, id: &str) -> Result<(), Failure> {
    let request = Request::get(["events", id]).about(format!("event {id}"));
    let answer = ask.reach.open()?.call(&request)?;
    let mut lines = Lines::new();
    if ask.json {
        lines.say(&answer);
        return lines.finish();
    }
    print_fields(&mut lines, FIELDS, &answer);
    sum(&mut lines, &answer);
    lines.finish()
}

/// Prior, signals and their sum, and the score that comes of it.
fn sum(lines: &mut Lines, event: &Value) {
    let of = |name: &str| event.pointer(&format!("/judgement/{name}"));
    let number = |name: &str| of(name).and_then(Value::as_f64);
    let (Some(prior), Some(score)) = (number("prior"), number("score")) else {
        lines.say("\nthe privacy level keeps no reasons");
        return;
    };
    let signals = of("signals").and_then(Value::as_array);
    let signals = signals.into_iter().flatten().map(|signal| {
        let name = signal.get("name").and_then(Value::as_str);
        let weight = signal.get("weight").and_then(Value::as_f64);
        (name.unwrap_or_default(), weight.unwrap_or_default())
    });
    let rows: Vec<_> = std::iter::once(("prior", prior)).chain(signals).collect();
    let whole: f64 = rows.iter().map(|(_, weight)| weight).sum();
    lines.say("");
    let mut sheet = Sheet::new([("SIGNAL", Form::Text), ("WEIGHT", Form::Number)]);
    for (name, weight) in rows {
        sheet.row(vec![name.to_owned(), format!("{weight:+.2}")]);
    }
    sheet.row(vec!["sum".to_owned(), format!("{whole:+.2}")]);
    sheet.print(lines);
    lines.say(format_args!(
        "score = 100 / (1 + e^-({whole:.2})) = {score:.1}"
    ));
}
