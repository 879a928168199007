//! `cupel keys`: API keys, and the ring of keys that sign tokens.

use std::io::IsTerminal;

use serde_json::{Value, json};

use crate::store::Scope;

use super::Failure;
use super::ask::{Ask, one_of};
use super::connection::Request;
use super::lines::{Lines, tell};
use super::sheet::{Column, Form, column, harmless};

const API_KEYS: &[Column] = &[
    column("ID", "/id", Form::Number),
    column("NAME", "/name", Form::Text),
    column("SCOPE", "/scope", Form::Text),
    column("CREATED", "/created_at", Form::Time),
    column("WITHDRAWN", "/revoked_at", Form::Time),
];

const RING: &[Column] = &[
    column("KEY", "/id", Form::Number),
    column("STATE", "/state", Form::Text),
];

#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make an API key and print it, alone, on standard output
    ///
    /// A data directory that is missing is made: a key may come before the first start.
    ///
    /// Example: cupel keys create --data /var/lib/cupel --name newsletter --scope mint
    Create {
        /// A name for people
        #[arg(long)]
        name: String,
        /// What the key may do: mint (campaigns, links, rewriting, minting, short links), read
        /// (statistics, events) or admin (everything)
        #[arg(long, value_parser = one_of(Scope::ALL, Scope::name), hide_possible_values = true)]
        scope: Scope,
    },
    /// List the API keys; the keys themselves are stored nowhere
    ///
    /// Example: cupel keys list --data /var/lib/cupel
    List,
    /// Withdraw an API key: it opens nothing from now on
    ///
    /// Example: cupel keys withdraw --data /var/lib/cupel 2
    Withdraw {
        /// Its id, as `cupel keys list` shows it
        id: u32,
    },
    /// List the keys that sign and verify tokens
    ///
    /// Example: cupel keys ring --data /var/lib/cupel
    Ring,
    /// Add a key that signs from now on; the one before goes on verifying
    ///
    /// Example: cupel keys rotate --data /var/lib/cupel
    Rotate,
    /// Retire a signing key: confirm and login links signed by it ask for a new mail
    ///
    /// Example: cupel keys retire --data /var/lib/cupel 1
    Retire {
        /// Number of the key
        id: u8,
    },
    /// Revoke a signing key that was stolen: links go on, nothing is counted for a message
    ///
    /// It cannot be undone, and is asked for on a terminal. An API key that leaked is withdrawn:
    /// `cupel keys withdraw`.
    ///
    /// Example: cupel keys revoke --data /var/lib/cupel 1 --yes
    Revoke {
        /// Number of the key
        id: u8,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Keys {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, what } = self;
        match what {
            What::Create { name, scope } => create(&ask, &name, scope),
            What::List => {
                let answer = ask.reach.open()?.call(&Request::get(["keys"]))?;
                ask.all(&answer, "keys", API_KEYS)
            }
            What::Withdraw { id } => {
                let request = Request::post(["keys", &id.to_string(), "revoke"]);
                ask.one(&request.about(format!("API key {id}")), API_KEYS)
            }
            What::Ring => ring(&ask, &Request::get(["key-ring"])),
            What::Rotate => ring(&ask, &Request::post(["key-ring", "rotate"])),
            What::Retire { id } => set_state(&ask, id, "aged"),
            What::Revoke { id, yes } => {
                if !yes {
                    confirm(&format!(
                        "Revoke signing key {id}? Hits by all mail that it signed are counted for \
                         no message from then on, and nothing brings that back."
                    ))?;
                }
                set_state(&ask, id, "revoked").map_err(|failure| match failure.code {
                    Failure::NO_INPUT => failure.and("API keys are withdrawn: cupel keys withdraw"),
                    _ => failure,
                })
            }
        }
    }
}

fn create(ask: &Ask, name: &str, scope: Scope) -> Result<(), Failure> {
    let body = json!({"name": name, "scope": scope});
    let connection = ask.reach.open_or_make()?;
    let made = connection.call(&Request::post(["keys"]).body(&body))?;
    let mut lines = Lines::new();
    if ask.json {
        lines.say(&made);
    } else {
        let key = made.get("key").and_then(Value::as_str);
        lines.say(harmless(key.unwrap_or_default()));
    }
    lines.finish()
}

/// Asks on the terminal.
///
/// # Errors
/// Exit code 64 where nobody can be asked, 130 after any other answer.
fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let line = "it cannot be undone, and nobody can be asked here; say --yes";
        return Err(Failure::new(Failure::USAGE, line));
    }
    tell(format_args!("{question} Write yes to go on:"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(Failure::new(Failure::INTERRUPTED, "nothing was changed")),
    }
}

fn set_state(ask: &Ask, id: u8, state: &str) -> Result<(), Failure> {
    let body = json!({"state": state});
    let request = Request::patch(["key-ring", &id.to_string()]).body(&body);
    ring(ask, &request.about(format!("key {id}")))
}

/// Calls what answers with the ring, and prints that.
fn ring(ask: &Ask, request: &Request<'_>) -> Result<(), Failure> {
    let answer = ask.reach.open()?.call(request)?;
    ask.all(&answer, "keys", RING)
}
