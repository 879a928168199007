//! `cupel rejudge` and `cupel rejudgements`: history judged again by a server.

use std::num::NonZeroU64;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::Failure;
use super::ask::{Ask, Pages, given};
use super::connection::{Connection, Request};
use super::lines::Lines;
use super::sheet::{Column, Form, Sheet, column};

/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Rows of a table of what changes; --json has all.
const ROWS_MAX: usize = 20;

const COLUMNS: &[Column] = &[
    column("ID", "/id", Form::Number),
    column("RULE SET", "/ruleset", Form::Text),
    column("MODE", "/mode", Form::Text),
    column("CAMPAIGN", "/campaign", Form::Number),
    column("STATE", "/state", Form::Text),
    column("BEGUN", "/begun_at", Form::Time),
    column("ENDED", "/ended_at", Form::Time),
    column("HITS", "/hits", Form::Count),
    column("OF", "/of", Form::Count),
    column("CHANGED", "/changed", Form::Count),
];

const BY_CLASS: &[Column] = &[
    column("KIND", "/kind", Form::Text),
    column("WAS", "/was", Form::Text),
    column("CLASS", "/class", Form::Text),
    column("HITS", "/hits", Form::Count),
];

const BY_SIGNAL: &[Column] = &[
    column("SIGNAL THAT HOLDS", "/signal", Form::Text),
    column("WAS", "/was", Form::Text),
    column("CLASS", "/class", Form::Text),
    column("HITS", "/hits", Form::Count),
];

const BY_CAMPAIGN: &[Column] = &[
    column("CAMPAIGN", "/campaign", Form::Number),
    column("CHANGED", "/changed", Form::Count),
    column("HUMAN HITS MORE", "/human", Form::Number),
];

/// Judge history again by the live rule set, or see what another would change
///
/// Shows first how many hits get another class: by kind and class, by the signals that hold on
/// them, and by campaign. Then, without --dry-run, a judgement that says something else is written
/// beside the old one, and statistics move with it. What it rests on are the facts that were
/// stored with each hit; hits that come meanwhile are judged as always. The server goes on if this
/// command is ended; `cupel rejudgements stop` ends it there.
///
/// Example: cupel rejudge --ruleset own@2 --dry-run
///
/// Example: cupel ruleset use own@2 && cupel rejudge
#[derive(Debug, clap::Args)]
pub(super) struct Rejudge {
    #[command(flatten)]
    ask: Ask,
    /// By this rule set, as `cupel ruleset list` shows it; without it by the live one
    #[arg(long, value_name = "RULESET")]
    ruleset: Option<String>,
    /// Only the hits of this campaign
    #[arg(long, value_name = "NUMBER")]
    campaign: Option<u32>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Rejudge {
    pub(super) fn run(self) -> Result<(), Failure> {
        let connection = self.ask.reach.open()?;
        if let Some(name) = self.ruleset.as_ref().filter(|_| !self.dry_run) {
            let request = Request::get(["rulesets", name]).about(name);
            if connection.call(&request)?.get("live") != Some(&Value::Bool(true)) {
                let line = format!(
                    "{name} is not live: make it so with cupel ruleset use {name}, or look with \
                     --dry-run what it would change"
                );
                return Err(Failure::new(Failure::USAGE, line));
            }
        }
        let mut lines = Lines::new();
        let would = self.done(&connection, true)?;
        self.print(&mut lines, &would, "would be");
        if !self.dry_run {
            lines.show();
            let done = match would.get("changed").and_then(Value::as_u64) {
                Some(0) => None,
                _ => Some(self.done(&connection, false)?),
            };
            match done {
                Some(done) if self.ask.json => {
                    lines.say(&done);
                }
                Some(done) => {
                    let changed = HumanCount(number(&done, "changed"));
                    lines.say(format_args!("{changed} hits have another class now"));
                }
                None => {}
            }
        }
        lines.finish()
    }

    /// Asks for it and waits until it is done.
    fn done(&self, connection: &Connection, dry_run: bool) -> Result<Value, Failure> {
        let body = given([
            ("ruleset", self.ruleset.clone().map(Value::from)),
            ("campaign", self.campaign.map(Value::from)),
            ("dry_run", Some(json!(dry_run))),
        ]);
        let mut now = connection.call(&Request::post(["rejudgements"]).body(&body))?;
        let id = number(&now, "id");
        let bar = bar();
        loop {
            bar.set_length(number(&now, "of"));
            bar.set_position(number(&now, "hits"));
            match now.get("state").and_then(Value::as_str) {
                Some("running") => std::thread::sleep(ASK_EVERY),
                Some("done") => break,
                _ => {
                    bar.finish_and_clear();
                    let line = format!("rejudgement {id} was stopped; what it changed stays so");
                    return Err(Failure::new(Failure::TEMPORARY, line));
                }
            }
            let path = ["rejudgements".to_owned(), id.to_string()];
            now = connection.call(&Request::get(path))?;
        }
        bar.finish_and_clear();
        let path = ["rejudgements".to_owned(), id.to_string()];
        connection.call(&Request::get(path))
    }

    fn print(&self, lines: &mut Lines, answer: &Value, be: &str) {
        if self.ask.json {
            lines.say(answer);
            return;
        }
        let (hits, changed) = (number(answer, "hits"), number(answer, "changed"));
        let ruleset = answer.get("ruleset").and_then(Value::as_str);
        lines.say(format_args!(
            "by {}, {} of {} hits {be} of another class",
            ruleset.unwrap_or("-"),
            HumanCount(changed),
            HumanCount(hits)
        ));
        for (member, columns) in [
            ("by_class", BY_CLASS),
            ("by_signal", BY_SIGNAL),
            ("by_campaign", BY_CAMPAIGN),
        ] {
            let rows = answer.get(member).and_then(Value::as_array);
            let rows = rows.map(Vec::as_slice).unwrap_or_default();
            if rows.is_empty() {
                continue;
            }
            lines.say("");
            let mut sheet = Sheet::of(columns);
            for row in rows.iter().take(ROWS_MAX) {
                sheet.add(columns, row);
            }
            sheet.print(lines);
            let more = rows.len().saturating_sub(ROWS_MAX);
            if more > 0 {
                lines.say(format_args!("and {more} more, which --json shows"));
            }
        }
    }
}

fn number(of: &Value, member: &str) -> u64 {
    of.get(member).and_then(Value::as_u64).unwrap_or_default()
}

/// How far it is, where somebody sees it.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // Nothing is drawn but on a terminal.
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let form = "judging again {bar:30} {human_pos}/{human_len} hits  {per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar
}

#[derive(Debug, clap::Args)]
pub(super) struct Rejudgements {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List what was judged again, the newest first
    ///
    /// Example: cupel rejudgements list --limit 5
    List {
        /// Rejudgements at most
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU64>,
    },
    /// Show how far one is; with --json also what it came to
    ///
    /// Example: cupel rejudgements show 3
    Show {
        /// Its number
        id: u32,
    },
    /// Stop one; what it has changed stays so
    ///
    /// Example: cupel rejudgements stop 3
    Stop {
        /// Its number
        id: u32,
    },
}

impl Rejudgements {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = |id: u32| ["rejudgements".to_owned(), id.to_string()];
        match self.what {
            What::List { limit } => {
                let request = Request::get(["rejudgements"]);
                Pages::of(&request, "rejudgements", limit).print(&self.ask, COLUMNS)
            }
            What::Show { id } => self.ask.one(&Request::get(path(id)).about(id), COLUMNS),
            What::Stop { id } => {
                let stop = path(id).into_iter().chain(["stop".to_owned()]);
                self.ask.one(&Request::post(stop).about(id), COLUMNS)
            }
        }
    }
}
