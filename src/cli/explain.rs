//! `cupel explain`: why a hit was judged as it was.

use serde_json::Value;

use super::Failure;
use super::ask::Ask;
use super::connection::Request;
use super::events::id;
use super::lines::Lines;

/// Say in sentences why a hit was judged as it was
///
/// What it begins at, each piece of evidence with its weight and the hits that it rests on, what
/// would have turned it, and what was said before.
///
/// Example: cupel explain 1f0c55aa-1042
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    ask: Ask,
    /// The event's id
    #[arg(value_parser = id)]
    id: String,
    /// What this rule set would say, instead of the one that judged it; one that is kept
    #[arg(long)]
    ruleset: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, id, ruleset } = self;
        let request = Request::get(["events", &id, "explain"]).with("ruleset", ruleset);
        let request = request.about(format!("event {id}"));
        let answer = ask.reach.open()?.call(&request)?;
        let mut lines = Lines::new();
        if ask.json {
            lines.say(&answer);
            return lines.finish();
        }
        let text = answer.get("text").and_then(Value::as_array);
        for sentence in text.into_iter().flatten().filter_map(Value::as_str) {
            lines.say(sentence);
        }
        lines.finish()
    }
}
