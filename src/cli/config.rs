//! `cupel config`: what is written, what is in force and where it comes from, and what there is.

use serde_json::{Value as Json, json};

use crate::config::{Config, EXAMPLE, Flags, Origin, Value, keys};

use super::Failure;
use super::ask::Ask;
use super::connection::Request;
use super::lines::{Lines, tell};
use super::sheet::{Column, Form, column, harmless};

const COLUMNS: &[Column] = &[
    column("KEY", "/key", Form::Text),
    column("VALUE", "/value", Form::Text),
    column("ORIGIN", "/origin", Form::Text),
];

/// Check, show and reload the configuration
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Read the configuration as `serve` would, and say everything that is wrong with it
    ///
    /// Example: cupel config check --config /etc/cupel/cupel.toml
    Check {
        #[command(flatten)]
        flags: Flags,
        /// Print {"ok", "problems"} as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every key with its value: a configuration file that says the same
    ///
    /// Example: cupel config print --origin
    Print {
        #[command(flatten)]
        flags: Flags,
        /// Say behind each value where it was written
        #[arg(long)]
        origin: bool,
        /// Print [{"key", "value", "origin", "reloaded"}] as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a configuration file with every key, its default, unit and reason
    ///
    /// Example: cupel config docs > /etc/cupel/cupel.toml
    Docs {
        /// Print [{"key", "text", "default", "example", "variable", "reloaded"}] as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the running server read its configuration again: whole, or not at all
    ///
    /// Example: cupel config reload --data /var/lib/cupel
    Reload {
        #[command(flatten)]
        ask: Ask,
    },
    /// Print what a running server has read, where each value was written, and what of it waits for
    /// the next start
    ///
    /// Example: cupel config show --server https://cupel.example.com:8081 --key-file admin.key
    Show {
        #[command(flatten)]
        ask: Ask,
    },
}

impl ConfigCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Check { flags, json } => check(&flags, json),
            Self::Print {
                flags,
                origin,
                json,
            } => print(&Config::load(&flags)?.values, origin, json),
            Self::Docs { json } => docs(json),
            Self::Reload { ask } => reload(&ask),
            Self::Show { ask } => show(&ask),
        }
    }
}

fn check(flags: &Flags, json: bool) -> Result<(), Failure> {
    let loaded = Config::load(flags);
    let mut lines = Lines::new();
    if json {
        let problems = loaded.as_ref().err().map_or(&[][..], |error| &error.0);
        let problems = problems.iter().map(|problem| {
            json!({
                "origin": problem.origin.to_string(),
                "key": problem.key,
                "what": problem.what,
            })
        });
        let problems: Vec<_> = problems.collect();
        lines.say(json!({"ok": problems.is_empty(), "problems": problems}));
    }
    let config = loaded?;
    if !json {
        let set = config
            .values
            .iter()
            .filter(|value| value.origin != Origin::Default);
        lines.say(format_args!(
            "ok: {} of {} keys are set",
            set.count(),
            config.values.len()
        ));
    }
    lines.finish()
}

/// Prints values as a configuration file.
fn print(values: &[Value], origin: bool, json: bool) -> Result<(), Failure> {
    let mut lines = Lines::new();
    if json {
        let all = keys().iter().zip(values).map(|(key, value)| {
            json!({
                "key": value.key,
                "value": value.value,
                "origin": value.origin.to_string(),
                "reloaded": key.reloaded,
            })
        });
        lines.say(Json::from_iter(all));
        return lines.finish();
    }
    let mut current = "";
    for value in values {
        let (section, name) = value.key.split_once('.').unwrap_or(("", value.key));
        if section != current {
            lines.say(format_args!("\n[{section}]"));
            current = section;
        }
        let line = match &value.value {
            Some(written) => format!("{name} = {written}"),
            None => format!("# {name} is not set"),
        };
        if origin && value.value.is_some() {
            lines.say(format_args!("{line:<48} # {}", value.origin));
        } else {
            lines.say(line);
        }
    }
    lines.finish()
}

fn docs(json: bool) -> Result<(), Failure> {
    let mut lines = Lines::new();
    if json {
        let all = keys().iter().map(|key| {
            let shown = |it: bool| it.then_some(key.shown.as_str());
            json!({
                "key": key.name,
                "text": key.text,
                "default": shown(key.has_default()),
                "example": shown(!key.has_default()),
                "variable": key.variable(),
                "reloaded": key.reloaded,
            })
        });
        lines.say(Json::from_iter(all));
    } else {
        lines.say(EXAMPLE.trim_end());
    }
    lines.finish()
}

fn reload(ask: &Ask) -> Result<(), Failure> {
    let server = ask.reach.served()?;
    let answer = server.call(&Request::post(["config", "reload"]));
    let answer = answer.map_err(|mut failure| {
        if failure.code == Failure::DATA {
            failure
                .line
                .push_str("\nnothing changed: what was in force still is");
        }
        failure
    })?;
    let mut lines = Lines::new();
    if ask.json {
        lines.say(&answer);
        return lines.finish();
    }
    match names(&answer, "changed") {
        changed if changed.is_empty() => lines.say("nothing changed"),
        changed => lines.say(format_args!("in force: {changed}")),
    };
    let restart = names(&answer, "restart");
    if !restart.is_empty() {
        lines.say(format_args!("at the next start: {restart}"));
    }
    lines.finish()
}

/// The keys that a member of an answer names.
fn names(answer: &Json, member: &str) -> String {
    let all = answer.get(member).and_then(Json::as_array);
    let all = all.into_iter().flatten().filter_map(Json::as_str);
    harmless(&all.collect::<Vec<_>>().join(", "))
}

/// What a server has read, key by key: one for this command alone has nothing in force.
fn show(ask: &Ask) -> Result<(), Failure> {
    let answer = ask.reach.served()?.call(&Request::get(["config"]))?;
    let restart = names(&answer, "restart");
    if !restart.is_empty() {
        tell(format_args!("at the next start: {restart}"));
    }
    ask.all(&answer, "keys", COLUMNS)
}
