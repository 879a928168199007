//! `cupel judge`: the hits of a file, judged as the server judges them.

mod replay;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::judge::{self, Agents, RuleSet};
use crate::network::Networks;

use super::Failure;
use super::files::{Source, named};
use super::lines::Lines;
use super::ruleset;

pub(super) use replay::Judged;
use replay::Replay;
use stream::LinesOf;

/// Judge the hits of a file as the server would, without one
///
/// The file has one JSON object a line: links, messages, deliveries and hits, in the order of their
/// times (docs/judging.md has the form); gzip is unpacked. For every hit a line says its judgement
/// once its window has closed. Hits that come later may change it: the last line of an id counts.
///
/// Example: cupel judge hits.ndjson.gz > judged.ndjson
#[derive(Debug, clap::Args)]
pub(super) struct Judge {
    #[command(flatten)]
    stream: Stream,
}

/// A stream of hits, and what to judge it by.
#[derive(Debug, clap::Args)]
pub(super) struct Stream {
    /// The hits; standard input if - or left out
    file: Option<PathBuf>,
    /// Judge by the rule set in this file, - for standard input [default: the one that is shipped]
    #[arg(long, value_name = "FILE")]
    ruleset: Option<String>,
}

impl Judge {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut lines = Lines::new();
        let rules = Arc::new(self.stream.rules()?);
        let judged = self
            .stream
            .judge(&rules, |judged| lines.say(line(&rules, judged)));
        lines.finish()?;
        judged
    }
}

impl Stream {
    /// What it is judged by.
    pub(super) fn rules(&self) -> Result<RuleSet, Failure> {
        match &self.ruleset {
            Some(which) if which == "-" && named(self.file.as_deref()).is_none() => {
                let line = "standard input is the hits or the rule set; name the file of the other";
                Err(Failure::new(Failure::USAGE, line))
            }
            Some(which) => ruleset::read(which),
            None => ruleset::shipped(),
        }
    }

    /// Judges every hit, and gives what is said of each, also what is said anew, until nobody wants
    /// more.
    pub(super) fn judge(
        &self,
        rules: &Arc<RuleSet>,
        mut say: impl FnMut(&Judged) -> bool,
    ) -> Result<(), Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::new(Failure::SOFTWARE, error);
        let mut input = LinesOf::new(Source::of(self.file.as_deref(), "hits")?)?;
        let agents = Agents::shipped().map_err(|error| broken(&error))?;
        let networks = Networks::shipped().map_err(|error| broken(&error))?;
        let mut replay = Replay::new(Arc::clone(rules), agents, networks);
        while let Some(line) = input.next()? {
            let taken = serde_json::from_slice(line).map(|record| replay.take(&record));
            let judged = taken.map_err(|error| input.wrong(error))?;
            if !judged.iter().all(&mut say) {
                return Ok(());
            }
        }
        replay.finish().iter().all(say);
        Ok(())
    }
}

/// What a judgement rests on.
pub(super) fn signals(explained: &judge::Explained) -> Vec<Value> {
    let signals = explained.signals.iter();
    let signals = signals.map(|(name, weight)| json!({"name": name, "weight": weight}));
    signals.collect()
}

/// A judgement as people and programs read it.
fn line(rules: &RuleSet, judged: &Judged) -> Value {
    let explained = judge::explain(rules, judged.kind, judged.facts);
    json!({
        "id": &*judged.id,
        "class": judged.verdict.class,
        "score": judged.verdict.score.percent(),
        "human": judged.verdict.class.is_human(),
        "stage": "settled",
        "prior": explained.prior,
        "signals": signals(&explained),
        "ruleset": rules.label(),
    })
}
