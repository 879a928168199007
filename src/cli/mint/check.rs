//! `cupel mint --check`: reads all of it, says what is wrong, and mints nothing. It keeps 8 bytes
//! of each recipient, to find those that are there twice.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use csv::ByteRecord;
use serde_json::{Value, json};

use super::super::Failure;
use super::super::lines::{Lines, count};
use super::super::sheet::harmless;
use super::about;
use super::input::{Input, Row};
use super::progress::rows;

/// Rows of one sort that are shown; all are counted.
const SHOWN_MAX: usize = 20;

/// Prints how the input was understood, and its bad rows.
///
/// # Errors
/// Exit code 65 if there are bad rows, or one cannot be read at all.
pub(super) fn check(input: &mut Input, columns: &[String], json: bool) -> Result<(), Failure> {
    let mut found = Found::default();
    let (hasher, mut seen) = (RandomState::new(), HashSet::new());
    let mut row = ByteRecord::new();
    while let Some(read) = input.next(&mut row)? {
        found.rows += 1;
        match read {
            Row::Bad(why) => found.bad.add(input.table.line(&row), why),
            Row::Good(id) if !seen.insert(hasher.hash_one(&id)) => {
                found.again.add(input.table.line(&row), id);
            }
            Row::Good(_) => {}
        }
    }
    let mut lines = Lines::new();
    if json {
        lines.say(report(input, columns, &found));
    } else {
        for line in about(input, columns) {
            lines.say(harmless(&line));
        }
        found.bad.say(&mut lines, "");
        found.again.say(&mut lines, "there before: ");
        let (bad, again) = (found.bad.number, found.again.number);
        let mut line = format!("{}, {bad} bad", rows(found.rows));
        if again > 0 {
            line.push_str(&format!(
                ", {again} of recipients that are there before: each row is a mail"
            ));
        }
        lines.say(line);
    }
    lines.finish()?;
    let bad = found.bad.number;
    if bad == 0 {
        return Ok(());
    }
    let line = format!("{}: {}", input.table.shown, count(bad, "bad row"));
    let failure = Failure::new(Failure::DATA, line);
    Err(failure.and("mend them, or put them apart with --skip-bad FILE"))
}

/// What was found in the rows.
#[derive(Debug, Default)]
struct Found {
    rows: u64,
    bad: Places,
    /// Rows of recipients that had one before.
    again: Places,
}

/// Rows of one sort: all are counted, the first are shown.
#[derive(Debug, Default)]
struct Places {
    number: u64,
    shown: Vec<(u64, String)>,
}

impl Places {
    fn add(&mut self, line: u64, what: String) {
        self.number += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push((line, what));
        }
    }

    fn say(&self, lines: &mut Lines, before: &str) {
        for (line, what) in &self.shown {
            lines.say(format_args!("line {line}: {before}{}", harmless(what)));
        }
        let shown = u64::try_from(self.shown.len()).unwrap_or(u64::MAX);
        let more = self.number.saturating_sub(shown);
        if more > 0 {
            lines.say(format_args!("and {} more", rows(more)));
        }
    }

    fn json(&self, name: &str) -> Vec<Value> {
        let all = self.shown.iter();
        all.map(|(line, what)| json!({"line": line, name: what}))
            .collect()
    }
}

/// The same for programs.
fn report(input: &Input, columns: &[String], found: &Found) -> Value {
    let name = input.table.header.as_ref();
    let name = name.and_then(|header| header.get(input.id.at));
    json!({
        "dialect": input.table.dialect.shown(),
        "id_column": {
            "number": input.id.at + 1,
            "name": name.map(String::from_utf8_lossy),
            "why": input.id.why,
        },
        "columns": columns,
        "rows": found.rows,
        "bad": found.bad.number,
        "bad_rows": found.bad.json("why"),
        "repeated": found.again.number,
        "repeated_rows": found.again.json("recipient"),
    })
}
