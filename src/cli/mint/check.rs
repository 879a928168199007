//! `cupel mint --check`: reads all of it, says what is wrong, and mints nothing.

use csv::ByteRecord;
use serde_json::{Value, json};

use super::super::Failure;
use super::super::lines::{Lines, count};
use super::super::sheet::harmless;
use super::about;
use super::input::{Input, Row};
use super::progress::rows;

/// Bad rows that are shown; all are counted.
const SHOWN_MAX: usize = 20;

/// Prints how the input was understood, and its bad rows.
///
/// # Errors
/// Exit code 65 if there are bad rows, or one cannot be read at all.
pub(super) fn check(input: &mut Input, columns: &[String], json: bool) -> Result<(), Failure> {
    let (mut all, mut bad) = (0_u64, 0_u64);
    let mut shown = Vec::new();
    let mut row = ByteRecord::new();
    while let Some(read) = input.next(&mut row)? {
        all += 1;
        if let Row::Bad(why) = read {
            bad += 1;
            if shown.len() < SHOWN_MAX {
                shown.push((input.table.line(&row), why));
            }
        }
    }
    let mut lines = Lines::new();
    if json {
        lines.say(report(input, columns, (all, bad), &shown));
    } else {
        for line in about(input, columns) {
            lines.say(harmless(&line));
        }
        for (line, why) in &shown {
            lines.say(format_args!("line {line}: {why}"));
        }
        let more = bad.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
        if more > 0 {
            lines.say(format_args!("and {} more", rows(more)));
        }
        lines.say(format_args!("{}, {bad} bad", rows(all)));
    }
    lines.finish()?;
    if bad == 0 {
        return Ok(());
    }
    let line = format!("{}: {}", input.table.shown, count(bad, "bad row"));
    let failure = Failure::new(Failure::DATA, line);
    Err(failure.and("mend them, or put them apart with --skip-bad FILE"))
}

/// The same for programs.
fn report(
    input: &Input,
    columns: &[String],
    (all, bad): (u64, u64),
    shown: &[(u64, String)],
) -> Value {
    let name = input.table.header.as_ref();
    let name = name.and_then(|header| header.get(input.id.at));
    let shown: Vec<_> = shown
        .iter()
        .map(|(line, why)| json!({"line": line, "why": why}))
        .collect();
    json!({
        "dialect": input.table.dialect.shown(),
        "id_column": {
            "number": input.id.at + 1,
            "name": name.map(String::from_utf8_lossy),
            "why": input.id.why,
        },
        "columns": columns,
        "rows": all,
        "bad": bad,
        "bad_rows": shown,
    })
}
