//! `cupel health`: whether a server is ready or lives, in one line; for checks of containers.

use serde_json::{Value, json};

use super::Failure;
use super::ask::Ask;
use super::lines::Lines;
use super::reach::no_server;
use super::sheet::harmless;

/// Ask a running server whether it is ready; exit code 0 if it is, 69 if not
///
/// Needs no key: it asks /readyz of --server, or of the server on the data directory. Redirects do
/// not depend on it: a server that is not ready answers readers all the same. What starts servers
/// anew when they are not well must ask for --live.
///
/// Example: cupel health --data /var/lib/cupel
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// Ask whether it lives (/livez), not whether it is ready
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    ask: Ask,
}

impl Health {
    pub(super) fn run(self) -> Result<(), Failure> {
        let connection = self.ask.reach.running()?.ok_or_else(no_server)?;
        let mut lines = Lines::new();
        if self.live {
            connection.lives()?;
            if self.ask.json {
                lines.say(json!({"live": true}));
            } else {
                lines.say("alive");
            }
            return lines.finish();
        }
        let answer = connection.ready()?;
        let ready = answer.get("ready").and_then(Value::as_bool);
        let Some(ready) = ready else {
            let line = "the server does not say whether it is ready; is it a cupel server?";
            return Err(Failure::new(Failure::PROTOCOL, line));
        };
        let line = said(&answer);
        if self.ask.json {
            lines.say(&answer);
        } else if ready {
            lines.say(&line);
        }
        lines.finish()?;
        if ready {
            return Ok(());
        }
        Err(Failure::new(Failure::UNAVAILABLE, line))
    }
}

/// Whether it is ready, and the parts that are not well.
fn said(answer: &Value) -> String {
    let is = |at: &str| answer.pointer(at).and_then(Value::as_bool) == Some(true);
    let state = match (is("/stopping"), is("/ready")) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    let parts = answer.get("parts").and_then(Value::as_object);
    let unwell = parts
        .into_iter()
        .flatten()
        .filter(|(_, part)| part.get("ok").and_then(Value::as_bool) != Some(true));
    let unwell = unwell.map(|(name, part)| {
        let detail = part.get("detail").and_then(Value::as_str);
        format!("{name}: {}", detail.unwrap_or("not well"))
    });
    let unwell: Vec<_> = unwell.collect();
    let said = match unwell.is_empty() {
        true => state.to_owned(),
        false => format!("{state}; {}", unwell.join("; ")),
    };
    harmless(&said)
}
