//! `cupel ruleset`: rule sets of one's own, checked and compared before anything is judged by them,
//! kept by a server, and made live.

mod diff;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::domain::hit::HitKind;
use crate::judge::ruleset::RuleSetError;
use crate::judge::{RuleSet, SIGNALS};

use super::Failure;
use super::ask::{Ask, Pages};
use super::connection::Request;
use super::files::Source;
use super::lines::Lines;
use super::sheet::{Column, Form, column};

/// Check and compare rule sets; keep them, and choose the live one
#[derive(Debug, clap::Subcommand)]
pub(super) enum RulesetCommand {
    /// Read a rule set as `judge` would, and say what is wrong with it by line and key
    ///
    /// Example: cupel ruleset check own.toml
    Check {
        /// The rule set; `default` for the one that is shipped, - for standard input
        #[arg(value_name = "FILE")]
        which: String,
        /// Print {"ruleset", "human_max", "machine_min", "window_seconds", "windows", "own",
        /// "signals"} as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the rule set that is shipped, to begin one of your own with; or one that is kept
    ///
    /// Example: cupel ruleset print > own.toml
    ///
    /// Example: cupel ruleset print own@1 | cupel ruleset diff - own.toml
    Print {
        #[command(flatten)]
        ask: Ask,
        /// One that the server keeps, as `cupel ruleset list` shows it, or `live`; with --json all
        /// that the API says of it
        #[arg(value_name = "RULESET")]
        which: Option<String>,
    },
    /// Show in what two rule sets differ
    ///
    /// Example: cupel ruleset diff default own.toml
    Diff {
        /// The one; `default` for the one that is shipped, - for standard input
        #[arg(value_name = "FROM")]
        from: String,
        /// The other
        #[arg(value_name = "TO")]
        to: String,
        /// Print {"from", "to", "changes"} as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the rule sets that the server keeps, and which of them is live
    ///
    /// Example: cupel ruleset list
    List(Ask),
    /// Let the server keep a rule set; nothing is judged by it yet
    ///
    /// Its name and version are in the file. Another text needs another version.
    ///
    /// Example: cupel ruleset add own.toml
    Add {
        #[command(flatten)]
        ask: Ask,
        /// The rule set; - for standard input
        #[arg(value_name = "FILE")]
        which: String,
    },
    /// Judge by another rule set from now on
    ///
    /// Every hit that comes, and every one whose window closes, is judged by it; on all nodes.
    /// What is settled stays as it is until `cupel rejudge`, and every judgement names the rule set
    /// that made it. With `default` the one that is shipped is live again, and newer ones that come
    /// with newer versions will be; `default@3` stays.
    ///
    /// Example: cupel ruleset use own@1
    Use {
        #[command(flatten)]
        ask: Ask,
        /// One that is kept: with a version, or the newest of its name; `default` for the one that
        /// is shipped
        #[arg(value_name = "RULESET")]
        which: String,
    },
    /// Count what a rule set says beside what is in force, of history and of what comes
    ///
    /// `cupel stats --ruleset` shows it. Nothing else changes: hits stay judged by the live one. It
    /// judges by what is known of a hit, as that was found by the live one's windows and lists.
    ///
    /// Example: cupel ruleset shadow own@1
    Shadow {
        #[command(flatten)]
        ask: Ask,
        /// One that is kept: with a version, or the newest of its name
        #[arg(value_name = "RULESET")]
        which: String,
        /// Count it no more, and forget what was counted
        #[arg(long)]
        stop: bool,
    },
}

const COLUMNS: &[Column] = &[
    column("RULE SET", "/ruleset", Form::Text),
    column("LIVE SINCE", "/live_since", Form::Time),
    column("IN SHADOW SINCE", "/shadow/since", Form::Time),
    column("COUNTED", "/shadow/hits", Form::Count),
    column("OF", "/shadow/of", Form::Count),
    column("SHIPPED", "/shipped", Form::Text),
    column("KEPT SINCE", "/created_at", Form::Time),
    column("HUMAN BELOW", "/human_max", Form::Number),
    column("MACHINE FROM", "/machine_min", Form::Number),
    column("WINDOW S", "/window_seconds", Form::Number),
    column("ERROR", "/error", Form::Text),
];

/// What a rule set says has no flag.
const NAMED: &[(&str, &str)] = &[("/text", "FILE")];

impl RulesetCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Check { which, json } => check(&read(&which)?, json),
            Self::Print { ask, which } => print(&ask, which.as_deref()),
            Self::Diff { from, to, json } => {
                if from == "-" && to == "-" {
                    let line = "standard input is one rule set; name the file of the other";
                    return Err(Failure::new(Failure::USAGE, line));
                }
                // One that is kept may be of an older version.
                let [from, to] = [from, to].map(|which| read_by(&which, RuleSet::kept));
                diff::print(&from?, &to?, json)
            }
            Self::List(ask) => {
                Pages::of(&Request::get(["rulesets"]), "rulesets", None).print(&ask, COLUMNS)
            }
            Self::Add { ask, which } => {
                let (text, _) = text(&which)?;
                let body = json!({"text": text});
                let request = Request::post(["rulesets"]).body(&body).naming(NAMED);
                ask.one(&request, COLUMNS)
            }
            Self::Use { ask, which } => {
                let request = Request::post(["rulesets", &which, "use"]).about(&which);
                ask.one(&request, COLUMNS)
            }
            Self::Shadow { ask, which, stop } => {
                let request = match stop {
                    false => Request::post(["rulesets", &which, "shadow"]),
                    true => Request::post(["rulesets", &which, "shadow", "stop"]),
                };
                ask.one(&request.about(&which), COLUMNS)
            }
        }
    }
}

/// The rule set that a file has, or the shipped one.
///
/// # Errors
/// Exit codes 65 and 66.
pub(super) fn read(which: &str) -> Result<RuleSet, Failure> {
    read_by(which, RuleSet::parse)
}

fn read_by(
    which: &str,
    parse: fn(&str) -> Result<RuleSet, RuleSetError>,
) -> Result<RuleSet, Failure> {
    if which == RuleSet::SHIPPED {
        return shipped();
    }
    let (text, shown) = text(which)?;
    parse(&text).map_err(|error| Failure::new(Failure::DATA, format!("{shown}: {error}")))
}

/// What a file has, and how it is shown.
fn text(which: &str) -> Result<(String, String), Failure> {
    let Source { file, shown, .. } = Source::of(Some(Path::new(which)), "rule set")?;
    let refused =
        |error: &dyn std::fmt::Display| Failure::new(Failure::DATA, format!("{shown}: {error}"));
    let mut text = String::new();
    let bytes_max = RuleSet::BYTES_MAX as u64;
    let taken = file.take(bytes_max + 1).read_to_string(&mut text);
    taken.map_err(|error| refused(&error))?;
    if text.len() > RuleSet::BYTES_MAX {
        return Err(refused(&"more than 1 MiB is not a rule set"));
    }
    Ok((text, shown))
}

/// The rule set that is shipped.
///
/// # Errors
/// Never, unless this program is broken.
pub(super) fn shipped() -> Result<RuleSet, Failure> {
    RuleSet::shipped().map_err(|error| Failure::new(Failure::SOFTWARE, error))
}

fn print(ask: &Ask, which: Option<&str>) -> Result<(), Failure> {
    let mut lines = Lines::new();
    match which {
        None if !ask.json => lines.put(shipped()?.text().as_bytes()),
        which => {
            let request = Request::get(["rulesets", which.unwrap_or(RuleSet::SHIPPED)]);
            let kept = ask.reach.open()?.call(&request)?;
            match kept.get("text").and_then(Value::as_str) {
                Some(text) if !ask.json => lines.put(text.as_bytes()),
                _ => lines.say(&kept),
            }
        }
    };
    lines.finish()
}

fn check(rules: &RuleSet, as_json: bool) -> Result<(), Failure> {
    let counts = SIGNALS.iter().filter(|signal| {
        let mut weights = HitKind::ALL.iter().map(|kind| rules.weight(*kind, signal));
        weights.any(|weight| weight != 0.0)
    });
    let counted = counts.count();
    let own = |section: &str| {
        let entries = rules.own().entries().iter();
        entries.filter(|entry| entry.section == section).count()
    };
    let mut lines = Lines::new();
    if as_json {
        lines.say(json!({
            "ruleset": rules.label(),
            "human_max": rules.human_max(),
            "machine_min": rules.machine_min(),
            "window_seconds": rules.window_seconds(),
            "windows": rules.windows().seconds().collect::<BTreeMap<_, _>>(),
            "own": {"networks": own("networks"), "agents": own("agents")},
            "signals": {"all": SIGNALS.len(), "counted": counted},
        }));
    } else {
        let (human, machine) = (rules.human_max(), rules.machine_min());
        lines.say(format_args!(
            "{}: {counted} of {} signals count; a person's below {human}, a machine's from \
             {machine} on; settled after {} s; own networks {}, own agents {}",
            rules.label(),
            SIGNALS.len(),
            rules.window_seconds(),
            own("networks"),
            own("agents"),
        ));
    }
    lines.finish()
}
