//! `cupel calibrate`: how a rule set judges hits of which something else says whose they are.

use serde_json::Value;

use super::Failure;
use super::ask::Ask;
use super::connection::Request;
use super::lines::Lines;
use super::sheet::{Form, Sheet, shown};

/// Measure a rule set against evidence, week by week
///
/// Takes hits of which something else than weights says whose they are. A source that pressed a
/// button, passing every check, and neither swept nor hurried, was a person: their hits should be
/// judged human. A source that swept all links of a mail, or followed a link that nobody can see,
/// was a machine: its hits should not. RAW is what the rule set says; ADJUSTED what it says if what
/// the evidence itself gave is left out of the sum, as it is with machines that are less loud. This
/// is evidence, and not the truth: few people press, and some gateways do.
///
/// Example: cupel calibrate --ruleset own@2 --weeks 4
#[derive(Debug, clap::Args)]
pub(super) struct Calibrate {
    #[command(flatten)]
    ask: Ask,
    /// This rule set, as `cupel ruleset list` shows it; without it the live one
    #[arg(long, value_name = "RULESET")]
    ruleset: Option<String>,
    /// So many weeks, this one among them
    #[arg(long, value_name = "N", default_value_t = 12)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=520))]
    weeks: u32,
}

impl Calibrate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = Request::get(["calibration"])
            .with("weeks", Some(self.weeks))
            .with("ruleset", self.ruleset.as_ref())
            .about(self.ruleset.as_deref().unwrap_or("the live rule set"));
        let answer = self.ask.reach.open()?.call(&request)?;
        let mut lines = Lines::new();
        if self.ask.json {
            lines.say(&answer);
            return lines.finish();
        }
        print(&mut lines, &answer);
        lines.finish()
    }
}

fn print(lines: &mut Lines, answer: &Value) {
    let rows = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned();
    let ruleset = shown(answer.get("ruleset"), Form::Text);
    let weeks = rows(answer, "weeks").unwrap_or_default();
    if weeks.is_empty() {
        lines.say(format_args!(
            "no evidence to measure {ruleset} by: nobody has pressed a button, and no source swept \
             all links or followed a hidden one"
        ));
        return;
    }
    lines.say(format_args!("{ruleset}: hits that it takes for a person's"));
    let mut sheet = Sheet::new([
        ("WEEK", Form::Text),
        ("EVIDENCE", Form::Text),
        ("OF A", Form::Text),
        ("KIND", Form::Text),
        ("HITS", Form::Count),
        ("RAW", Form::Text),
        ("ADJUSTED", Form::Text),
    ]);
    for week in &weeks {
        let begun = shown(week.get("week"), Form::Text);
        let day = begun.split('T').next().unwrap_or_default().to_owned();
        for row in rows(week, "rows").unwrap_or_default() {
            sheet.row(cells(&day, &row));
        }
    }
    if weeks.len() > 1 {
        for row in rows(answer, "all").unwrap_or_default() {
            sheet.row(cells("all", &row));
        }
    }
    sheet.print(lines);
}

fn cells(week: &str, row: &Value) -> Vec<String> {
    let text = |name: &str| shown(row.get(name), Form::Text);
    let share = |name: &str| {
        let part = |what: &str| {
            let at = row.pointer(&format!("/{name}/share/{what}"));
            at.and_then(Value::as_f64).unwrap_or_default()
        };
        let (percent, low, high) = (part("percent"), part("low"), part("high"));
        format!("{percent:.2} % ({low:.2} to {high:.2})")
    };
    vec![
        week.to_owned(),
        text("evidence"),
        text("says"),
        text("kind"),
        shown(row.get("hits"), Form::Count),
        share("raw"),
        share("adjusted"),
    ]
}
