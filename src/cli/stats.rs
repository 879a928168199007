//! `cupel stats`: raw and human side by side, by link and by class.

use serde_json::Value;

use super::Failure;
use super::ask::Ask;
use super::connection::Request;
use super::lines::Lines;
use super::sheet::{Form, Sheet, shown};

const KINDS: [&str; 5] = ["opens", "clicks", "pages", "presses", "unsubscribes"];

/// Raw and human counters of a campaign, side by side
///
/// Total is hits, unique is messages with at least one, anonymous is the part of total without a
/// message. Human leaves out machines. By class shows every hit, those too that count in no total.
///
/// Example: cupel stats 7
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    #[command(flatten)]
    ask: Ask,
    /// Number of the campaign
    campaign: u32,
    /// By what this rule set says, which is in shadow; see `cupel ruleset shadow`
    #[arg(long)]
    ruleset: Option<String>,
}

impl Stats {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self {
            ask,
            campaign,
            ruleset,
        } = self;
        let path = ["campaigns".to_owned(), campaign.to_string(), "stats".into()];
        let request = Request::get(path).with("ruleset", ruleset);
        let request = request.about(format!("campaign {campaign}"));
        report(&ask, &request, |lines, answer| {
            totals(lines, answer, &KINDS);
            by_link(lines, answer);
        })
    }
}

/// The report on a short link.
pub(super) fn short_link(ask: &Ask, request: &Request<'_>) -> Result<(), Failure> {
    report(ask, request, |lines, answer| {
        totals(lines, answer, &["clicks"]);
    })
}

fn report(
    ask: &Ask,
    request: &Request<'_>,
    totals: impl FnOnce(&mut Lines, &Value),
) -> Result<(), Failure> {
    let answer = ask.reach.open()?.call(request)?;
    let mut lines = Lines::new();
    if ask.json {
        lines.say(&answer);
        return lines.finish();
    }
    totals(&mut lines, &answer);
    shares(&mut lines, &answer, "CLASS", "by_class");
    shares(&mut lines, &answer, "METHOD", "by_method");
    if let Some(Value::String(ruleset)) = answer.get("ruleset") {
        lines.say(format_args!("\nby what {ruleset} says, which is in shadow"));
        let number = |of: &str| shown(answer.pointer(&format!("/shadow/{of}")), Form::Count);
        if answer.pointer("/shadow/complete") == Some(&Value::Bool(false)) {
            let (hits, of) = (number("hits"), number("of"));
            lines.say(format_args!(
                "so far of {hits} of {of} hits; of the others by what is in force"
            ));
        }
    }
    let settled = shown(answer.get("settled_to"), Form::Time);
    lines.say(format_args!("\nsettled to {settled}"));
    let silent = answer.get("silent_edges").and_then(Value::as_array);
    for edge in silent.into_iter().flatten() {
        let edge = shown(Some(edge), Form::Text);
        lines.say(format_args!(
            "without what edge {edge} has kept since it was last heard of; see cupel nodes list"
        ));
    }
    lines.finish()
}

/// A counter's cell.
fn cell(of: &Value, side: &str, kind: &str, what: &str) -> String {
    shown(of.pointer(&format!("/{side}/{kind}/{what}")), Form::Count)
}

fn number(of: &Value, side: &str, kind: &str) -> u64 {
    let at = of.pointer(&format!("/{side}/{kind}/total"));
    at.and_then(Value::as_u64).unwrap_or_default()
}

/// A part of a whole in per cent; `-` of nothing.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    // Tenths, rounded, without a float.
    let tenths = (u128::from(part) * 2_000 / u128::from(whole)).div_ceil(2);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn totals(lines: &mut Lines, answer: &Value, kinds: &[&str]) {
    let mut sheet = Sheet::new([
        ("", Form::Text),
        ("RAW TOTAL", Form::Count),
        ("UNIQUE", Form::Count),
        ("ANONYMOUS", Form::Count),
        ("HUMAN TOTAL", Form::Count),
        ("UNIQUE", Form::Count),
        ("ANONYMOUS", Form::Count),
        ("HUMAN", Form::Count),
    ]);
    for kind in kinds {
        let mut row = vec![(*kind).to_owned()];
        for side in ["raw", "human"] {
            let counters = ["total", "unique", "anonymous"];
            row.extend(counters.map(|what| cell(answer, side, kind, what)));
        }
        row.push(share(
            number(answer, "human", kind),
            number(answer, "raw", kind),
        ));
        sheet.row(row);
    }
    sheet.print(lines);
}

fn by_link(lines: &mut Lines, answer: &Value) {
    let links = answer.get("links").and_then(Value::as_array);
    let links = links.filter(|links| !links.is_empty());
    let Some(links) = links else {
        return;
    };
    lines.say("");
    let mut sheet = Sheet::new([
        ("LINK", Form::Number),
        ("KIND", Form::Text),
        ("RAW", Form::Count),
        ("UNIQUE", Form::Count),
        ("HUMAN", Form::Count),
        ("UNIQUE", Form::Count),
        ("SHARE", Form::Count),
        ("URL", Form::Text),
    ]);
    for link in links {
        let kind = link.get("kind").and_then(Value::as_str).unwrap_or_default();
        // What a link is for says which of its counters matters.
        let counted = match kind {
            "action" => "presses",
            "unsubscribe" => "unsubscribes",
            _ => "clicks",
        };
        let label = link.get("label").filter(|label| !label.is_null());
        sheet.row(vec![
            shown(link.get("number"), Form::Number),
            kind.to_owned(),
            cell(link, "raw", counted, "total"),
            cell(link, "raw", counted, "unique"),
            cell(link, "human", counted, "total"),
            cell(link, "human", counted, "unique"),
            share(number(link, "human", counted), number(link, "raw", counted)),
            shown(label.or(link.get("url")), Form::Text),
        ]);
    }
    sheet.print(lines);
}

/// Every hit by something, with its part of all.
fn shares(lines: &mut Lines, answer: &Value, head: &'static str, member: &str) {
    let Some(all) = answer.get(member).and_then(Value::as_object) else {
        return;
    };
    lines.say("");
    let mut rows: Vec<_> = all
        .iter()
        .map(|(name, hits)| (name, hits.as_u64().unwrap_or_default()))
        .collect();
    rows.sort_by_key(|(_, hits)| std::cmp::Reverse(*hits));
    let whole = rows.iter().map(|(_, hits)| hits).sum();
    let mut sheet = Sheet::new([
        (head, Form::Text),
        ("HITS", Form::Count),
        ("SHARE", Form::Count),
    ]);
    for (name, hits) in rows {
        let count = shown(Some(&Value::from(hits)), Form::Count);
        sheet.row(vec![name.clone(), count, share(hits, whole)]);
    }
    sheet.print(lines);
}
