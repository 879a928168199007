//! In what two rule sets differ.

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::lines::Lines;
use crate::cli::sheet::{Form, Sheet};
use crate::domain::hit::HitKind;
use crate::judge::{OwnEntry, RuleSet, SIGNALS};

/// A value that differs.
#[derive(Debug, PartialEq)]
struct Change {
    key: String,
    /// Kind of hit; none for what holds for all.
    kind: Option<HitKind>,
    /// A number, or the name of a list or kind; null where it does not stand.
    from: Value,
    to: Value,
}

/// Prints what differs.
///
/// # Errors
/// Nobody takes it.
pub(super) fn print(from: &RuleSet, to: &RuleSet, as_json: bool) -> Result<(), Failure> {
    let changes = changes(from, to);
    let mut lines = Lines::new();
    if as_json {
        let shown = |change: &Change| {
            let kind = change.kind.map(HitKind::name);
            json!({"key": change.key, "kind": kind, "from": change.from, "to": change.to})
        };
        let changes: Vec<Value> = changes.iter().map(shown).collect();
        lines.say(json!({"from": from.label(), "to": to.label(), "changes": changes}));
        return lines.finish();
    }
    if changes.is_empty() {
        lines.say(format_args!(
            "{} and {} judge alike",
            from.label(),
            to.label()
        ));
        return lines.finish();
    }
    lines.say(format_args!("from {} to {}", from.label(), to.label()));
    let mut sheet = Sheet::new([
        ("KEY", Form::Text),
        ("KIND", Form::Text),
        ("FROM", Form::Text),
        ("TO", Form::Text),
    ]);
    for change in changes {
        sheet.row(vec![
            change.key,
            change.kind.map_or("all", HitKind::name).to_owned(),
            written(&change.from),
            written(&change.to),
        ]);
    }
    sheet.print(&mut lines);
    lines.finish()
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// What a rule set says besides its weights: each value with its key.
fn values(rules: &RuleSet) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("human_max", json!(rules.human_max())),
        ("machine_min", json!(rules.machine_min())),
        ("window_seconds", json!(rules.window_seconds())),
    ];
    let windows = rules.windows().seconds();
    all.extend(windows.map(|(key, seconds)| (key, json!(seconds))));
    all
}

/// What differs, in the order of the file; a value that differs alike for every kind once.
fn changes(from: &RuleSet, to: &RuleSet) -> Vec<Change> {
    let both = values(from).into_iter().zip(values(to));
    let mut all: Vec<_> = both
        .map(|((key, from), (_, to))| Change {
            key: key.to_owned(),
            kind: None,
            from,
            to,
        })
        .collect();
    all.extend(per_kind("prior", |kind| (from.prior(kind), to.prior(kind))));
    for signal in SIGNALS {
        let weights = |kind| (from.weight(kind, signal), to.weight(kind, signal));
        all.extend(per_kind(signal.name, weights));
    }
    all.retain(|change| change.from != change.to);
    all.extend(only_in(from, to).map(|one| own_change(one, true)));
    all.extend(only_in(to, from).map(|one| own_change(one, false)));
    all
}

/// Networks and agents of one's own that the other does not have so.
fn only_in<'r>(rules: &'r RuleSet, other: &'r RuleSet) -> impl Iterator<Item = &'r OwnEntry> {
    let own = rules.own().entries().iter();
    own.filter(|entry| !other.own().entries().contains(entry))
}

fn own_change(own: &OwnEntry, goes: bool) -> Change {
    let name = json!(own.name);
    let (from, to) = match goes {
        true => (name, Value::Null),
        false => (Value::Null, name),
    };
    Change {
        key: format!("{} {:?}", own.section, own.entry),
        kind: None,
        from,
        to,
    }
}

fn per_kind(key: &str, values: impl Fn(HitKind) -> (f64, f64)) -> Vec<Change> {
    let change = |kind: Option<HitKind>, (from, to): (f64, f64)| Change {
        key: key.to_owned(),
        kind,
        from: json!(from),
        to: json!(to),
    };
    let first = values(HitKind::Open);
    if HitKind::ALL.iter().all(|kind| values(*kind) == first) {
        return vec![change(None, first)];
    }
    let kinds = HitKind::ALL.iter();
    kinds
        .map(|kind| change(Some(*kind), values(*kind)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_once_by_key_and_kind() {
        let one = RuleSet::shipped().unwrap();
        let text = one
            .text()
            .replace("human_max = 50.0", "human_max = 45.0")
            .replace("\"ua.headless\" = 6.0", "\"ua.headless\" = 5.0")
            .replace(
                "\"ua.empty\" = { open = 2.5, click = 5.0 }",
                "\"ua.empty\" = { open = 2.5, click = 4.0 }",
            )
            .replace("rapid_seconds = 5", "rapid_seconds = 4")
            .replace("[networks]", "[networks]\nhosting = [\"AS64500\"]");
        let other = RuleSet::parse(&text).unwrap();
        let said: Vec<_> = changes(&one, &other)
            .into_iter()
            .map(|it| (it.key, it.kind.map(HitKind::name), it.from, it.to))
            .collect();
        let named = |key: &str, kind, from, to| (key.to_owned(), kind, from, to);
        let of = |key, kind, from: f64, to: f64| named(key, kind, json!(from), json!(to));
        let empty = |kind| of("ua.empty", Some(kind), 5.0, 4.0);
        let hosting = json!("hosting");
        assert_eq!(
            said,
            [
                of("human_max", None, 50.0, 45.0),
                named("rapid_seconds", None, json!(5), json!(4)),
                of("ua.headless", None, 6.0, 5.0),
                empty("click"),
                empty("page"),
                empty("press"),
                empty("unsubscribe"),
                named("networks \"AS64500\"", None, Value::Null, hosting),
            ]
        );
        assert!(changes(&one, &one).is_empty());
    }
}
