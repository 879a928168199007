//! `cupel health`: whether a server is ready, in one line; for checks of containers.

use serde_json::Value;

use super::Failure;
use super::ask::Ask;
use super::lines::Lines;
use super::sheet::{Form, shown};

/// Ask a running server whether it is ready; exit code 0 if it is, 69 if not
///
/// Needs no key: it asks /readyz of --server, or of the server on the data directory. Redirects do
/// not depend on it: a server that is not ready answers readers all the same.
///
/// Example: cupel health --data /var/lib/cupel
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    #[command(flatten)]
    ask: Ask,
}

impl Health {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(connection) = self.ask.reach.running()? else {
            let line = "no server runs on this data directory; start it with cupel serve";
            return Err(Failure::new(Failure::UNAVAILABLE, line));
        };
        let answer = connection.ready()?;
        let ready = answer.get("ready").and_then(Value::as_bool);
        let Some(ready) = ready else {
            let line = "the server does not say whether it is ready; is it a cupel server?";
            return Err(Failure::new(Failure::PROTOCOL, line));
        };
        let part = |at: &str| shown(answer.pointer(at), Form::Count);
        let line = format!(
            "store {}, journal {}, {} campaigns, {} short links",
            part("/store"),
            part("/journal/state"),
            part("/catalogue/campaigns"),
            part("/catalogue/short_links"),
        );
        let mut lines = Lines::new();
        if self.ask.json {
            lines.say(&answer);
        } else if ready {
            lines.say(format_args!("ready: {line}"));
        }
        lines.finish()?;
        if ready {
            return Ok(());
        }
        Err(Failure::new(
            Failure::UNAVAILABLE,
            format!("not ready: {line}"),
        ))
    }
}
