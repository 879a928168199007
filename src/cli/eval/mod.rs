//! `cupel eval`: how well hits of a file are judged, against labels that somebody gave them.

mod figures;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::domain::hit::HitKind;
use crate::judge::{self, RuleSet};
use crate::stats::Estimate;

use super::Failure;
use super::judge::{Judged, Stream, signals};
use super::lines::{Lines, count, tell};
use super::sheet::{Form, Sheet};
use figures::{Counts, Figures, Groups};

/// Mistakes that are shown.
const SHOWN: usize = 10;

/// Measure the judge: judge the hits of a file, and compare with labels
///
/// Kept is the share of people's hits that were judged human. Leak is how many of machines' were,
/// per cent of people's hits. Error is by how much the filtered count is wrong. Intervals are of 95
/// %: Wilson's for kept, else by drawing whole messages again.
///
/// Example: cupel eval hits.ndjson.gz --labels hits.labels.tsv --by actor
#[derive(Debug, clap::Args)]
pub(super) struct Eval {
    #[command(flatten)]
    stream: Stream,
    /// Tab-separated, with a head: id, label (human or machine) and, if known, actor
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Break figures down
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum By {
    /// By who did it, as the labels say
    Actor,
    /// By the class they were judged
    Class,
    /// By every signal that holds
    Signal,
}

impl By {
    const fn head(self) -> &'static str {
        match self {
            Self::Actor => "ACTOR",
            Self::Class => "CLASS",
            Self::Signal => "SIGNAL",
        }
    }

    fn groups(self, labelled: &Labelled) -> Vec<String> {
        let Labelled { judged, label, .. } = labelled;
        match self {
            Self::Actor => vec![label.actor.clone().unwrap_or_else(|| "-".to_owned())],
            Self::Class => vec![judged.verdict.class.name().to_owned()],
            Self::Signal => judge::signals(judged.facts).map(str::to_owned).collect(),
        }
    }
}

/// What somebody says of a hit.
#[derive(Clone, Debug)]
struct Label {
    human: bool,
    actor: Option<String>,
}

/// A hit with what was said of it by both.
#[derive(Debug)]
struct Labelled {
    judged: Judged,
    label: Label,
}

impl Labelled {
    fn judged_human(&self) -> bool {
        self.judged.verdict.class.is_human()
    }

    fn is_wrong(&self) -> bool {
        self.judged_human() != self.label.human
    }

    /// Opens are one thing, everything that follows a link the other.
    fn is_open(&self) -> bool {
        self.judged.kind == HitKind::Open
    }
}

impl Eval {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut labels = labels(&self.labels)?;
        let rules = Arc::new(self.stream.rules()?);
        let mut last: BTreeMap<u64, Judged> = BTreeMap::new();
        self.stream.judge(&rules, |judged| {
            last.insert(judged.number, judged.clone());
            true
        })?;
        let judged = last.len();
        let labelled = last.into_values().filter_map(|judged| {
            let label = labels.remove(&*judged.id)?;
            Some(Labelled { judged, label })
        });
        let labelled: Vec<_> = labelled.collect();
        let without = (judged - labelled.len()) as u64;
        if labelled.is_empty() {
            let line = format!("{}: no label is of any of the hits", self.labels.display());
            return Err(Failure::new(Failure::DATA, line));
        }
        if without > 0 {
            tell(format_args!(
                "left out {} without a label",
                count(without, "hit")
            ));
        }
        if !labels.is_empty() {
            tell(format_args!(
                "left out {} of hits that are not there",
                count(labels.len() as u64, "label")
            ));
        }
        match self.json {
            true => self.print_json(&rules, &labelled),
            false => self.print(&rules, &labelled),
        }
    }

    fn groups(&self, labelled: &[Labelled], opens: bool) -> Groups {
        let mut groups = Groups::new();
        let Some(by) = self.by else {
            return groups;
        };
        for one in labelled.iter().filter(|one| one.is_open() == opens) {
            for name in by.groups(one) {
                let group = groups.entry(name).or_default();
                group.add(one.label.human, one.judged_human());
            }
        }
        groups
    }

    fn print_json(&self, rules: &RuleSet, labelled: &[Labelled]) -> Result<(), Failure> {
        let part = |opens: bool| {
            let groups = self.groups(labelled, opens);
            let mut part = json!(figures(labelled, opens));
            if let (Some(part), Some(by)) = (part.as_object_mut(), self.by) {
                part.insert(by.head().to_lowercase(), json!(groups));
            }
            part
        };
        let worst = worst(labelled).map(|one| {
            let explained = judge::explain(rules, one.judged.kind, one.judged.facts);
            json!({
                "id": &*one.judged.id, "human": one.label.human, "actor": one.label.actor,
                "kind": one.judged.kind, "class": one.judged.verdict.class,
                "score": one.judged.verdict.score.percent(), "prior": explained.prior,
                "signals": signals(&explained),
            })
        });
        let mut lines = Lines::new();
        lines.say(json!({
            "ruleset": rules.label(),
            "clicks": part(false),
            "opens": part(true),
            "worst": worst.collect::<Vec<_>>(),
        }));
        lines.finish()
    }

    fn print(&self, rules: &RuleSet, labelled: &[Labelled]) -> Result<(), Failure> {
        let mut lines = Lines::new();
        let mut sheet = Sheet::new([
            ("", Form::Text),
            ("HUMANS", Form::Count),
            ("KEPT", Form::Text),
            ("LEAK", Form::Text),
            ("ERROR", Form::Text),
        ]);
        for (name, opens) in [("clicks", false), ("opens", true)] {
            let figures = figures(labelled, opens);
            let shown = |estimate: Option<Estimate>| {
                estimate.map_or_else(|| "-".to_owned(), |estimate| estimate.to_string())
            };
            let humans = figures.counts.humans.to_string();
            let estimates = [figures.kept, figures.leak, figures.error];
            let cells = [name.to_owned(), humans].into_iter();
            sheet.row(cells.chain(estimates.map(shown)).collect());
        }
        sheet.print(&mut lines);
        if let Some(by) = self.by {
            for (name, opens) in [("CLICKS BY ", false), ("OPENS BY ", true)] {
                lines.say(format_args!("\n{name}{}", by.head()));
                print_groups(&mut lines, by, &self.groups(labelled, opens));
            }
        }
        let mut wrong = worst(labelled).peekable();
        if wrong.peek().is_some() {
            lines.say("\nWORST MISTAKES");
        }
        for one in wrong {
            let explained = judge::explain(rules, one.judged.kind, one.judged.facts);
            let parts = explained.signals.iter();
            let sum: String = parts
                .map(|(name, weight)| format!(" {weight:+} {name}"))
                .collect();
            let truth = if one.label.human { "human" } else { "machine" };
            let actor = one.label.actor.as_deref().unwrap_or("-");
            lines.say(format_args!(
                "{}  {truth} ({actor}), judged {} at {}: {}{sum}",
                one.judged.id,
                one.judged.verdict.class.name(),
                one.judged.verdict.score.percent(),
                explained.prior,
            ));
        }
        lines.finish()
    }
}

fn print_groups(lines: &mut Lines, by: By, groups: &Groups) {
    let mut sheet = Sheet::new([
        (by.head(), Form::Text),
        ("HUMANS", Form::Count),
        ("KEPT", Form::Count),
        ("MACHINES", Form::Count),
        ("LEAKED", Form::Count),
    ]);
    for (name, counts) in groups {
        let Counts {
            humans,
            kept,
            machines,
            leaked,
        } = *counts;
        let numbers = [humans, kept, machines, leaked].map(|number| number.to_string());
        let cells = std::iter::once(name.clone()).chain(numbers);
        sheet.row(cells.collect());
    }
    sheet.print(lines);
}

fn figures(labelled: &[Labelled], opens: bool) -> Figures {
    let mut messages: HashMap<_, Counts> = HashMap::new();
    for one in labelled.iter().filter(|one| one.is_open() == opens) {
        // A hit without a message stands for itself.
        let own = one.judged.message.is_none().then_some(one.judged.number);
        let counts = messages.entry((one.judged.message, own)).or_default();
        counts.add(one.label.human, one.judged_human());
    }
    let mut messages: Vec<_> = messages.into_iter().collect();
    messages.sort_unstable_by_key(|(message, _)| *message);
    Figures::of(messages.iter().map(|(_, counts)| counts))
}

/// The mistakes of which the judge was surest.
fn worst(labelled: &[Labelled]) -> impl Iterator<Item = &Labelled> {
    let mut wrong: Vec<_> = labelled.iter().filter(|one| one.is_wrong()).collect();
    let sure = |one: &Labelled| (i32::from(one.judged.verdict.score.tenths()) - 500).abs();
    wrong.sort_by_key(|one| std::cmp::Reverse(sure(one)));
    wrong.into_iter().take(SHOWN)
}

fn labels(path: &Path) -> Result<HashMap<String, Label>, Failure> {
    let file = File::open(path).map_err(|error| Failure::no_input(path, &error))?;
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(b'\t').quoting(false).from_reader(file);
    let wrong = |what: String| Failure::new(Failure::DATA, format!("{}{what}", path.display()));
    let head = reader
        .headers()
        .map_err(|error| wrong(format!(": {error}")))?;
    let column = |name: &str| head.iter().position(|head| head == name);
    let (Some(id), Some(label)) = (column("id"), column("label")) else {
        let what = ", line 1: the head names no id and label, separated by a tab";
        return Err(wrong(what.to_owned()));
    };
    let actor = column("actor");
    let mut labels = HashMap::new();
    for (row, line) in reader.records().zip(2..) {
        let row = row.map_err(|error| wrong(format!(", line {line}: {error}")))?;
        let human = match row.get(label) {
            Some("human") => true,
            Some("machine") => false,
            other => {
                let other = other.unwrap_or_default();
                let what = format!(", line {line}: {other:?} is no label; use human or machine");
                return Err(wrong(what));
            }
        };
        let actor = actor.and_then(|place| row.get(place)).map(str::to_owned);
        let id = row.get(id).unwrap_or_default().to_owned();
        labels.insert(id, Label { human, actor });
    }
    Ok(labels)
}
