//! What is to be said of each signal: when it holds, how that is known, and whom it can hit.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::ruleset::RuleSet;
use super::signals::{SIGNALS, Signal};
use crate::domain::hit::HitKind;

/// What is to be said of a signal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// When it holds: a sentence.
    pub holds: String,
    /// How well that is known: V, M, D, R.
    pub evidence: String,
    /// People whom it can hit.
    pub victims: String,
}

/// A test reads all of it.
static ABOUT: LazyLock<BTreeMap<String, About>> =
    LazyLock::new(|| toml::from_str(include_str!("about.toml")).unwrap_or_default());

/// What is to be said of a signal.
#[must_use]
pub fn about(signal: &Signal) -> Option<&'static About> {
    ABOUT.get(signal.name)
}

/// When a signal holds, by the windows of a rule set: a sentence.
#[must_use]
pub fn holds(rules: &RuleSet, signal: &Signal) -> Option<String> {
    about(signal).map(|about| rules.windows().fill(&about.holds))
}

/// The signals as a table in Markdown, with their weights on opens and on clicks.
#[must_use]
pub fn table(rules: &RuleSet) -> String {
    let mut table = String::from(
        "| signal | family | open | click | holds when | evidence | known victims |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for signal in SIGNALS {
        let Some(about) = about(signal) else { continue };
        let weight = |kind| rules.weight(kind, signal);
        table.push_str(&format!(
            "| `{}` | {} | {:+.1} | {:+.1} | {} | {} | {} |\n",
            signal.name,
            signal.family.name(),
            weight(HitKind::Open),
            weight(HitKind::Click),
            rules.windows().fill(&about.holds),
            about.evidence,
            about.victims,
        ));
    }
    table
}

/// The windows of a rule set as a table in Markdown, with the signals that go by each.
#[must_use]
pub fn windows_table(rules: &RuleSet) -> String {
    let mut table = String::from("| window | s | of |\n|---|---|---|\n");
    for (key, seconds) in rules.windows().seconds() {
        let by_it = |signal: &&Signal| {
            let hole = format!("{{{key}}}");
            about(signal).is_some_and(|about| about.holds.contains(&hole))
        };
        let signals = SIGNALS.iter().filter(by_it);
        let named: Vec<_> = signals.map(|signal| format!("`{}`", signal.name)).collect();
        table.push_str(&format!("| {key} | {seconds} | {} |\n", named.join(", ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_said_of_every_signal_and_of_nothing_else() {
        assert!(SIGNALS.iter().all(|signal| about(signal).is_some()));
        assert_eq!(ABOUT.len(), SIGNALS.len());
    }

    /// The tables of docs/judging.md are made here: whoever changes a signal, a weight or a window
    /// puts these in their place.
    #[test]
    fn the_documentation_has_this_table() {
        let docs = include_str!("../../docs/judging.md");
        let rules = RuleSet::shipped().unwrap();
        for table in [table(&rules), windows_table(&rules)] {
            assert!(docs.contains(&table), "docs/judging.md wants:\n{table}");
        }
        let rows = docs.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(rows.count(), SIGNALS.len(), "and no other signals");
    }
}
