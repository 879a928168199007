//! A configuration file: which keys are written in it, on which lines.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{Origin, Problem, Setting, Written};

/// Reads a file; what cannot be read of it is a problem.
pub(super) fn read(file: &Path, problems: &mut Vec<Problem>) -> Vec<Setting> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(file, &text, problems),
        Err(why) => {
            let what = format!("cannot read {}: {why}", file.display());
            problems.push(Problem::new(Origin::Default, "", what));
            Vec::new()
        }
    }
}

/// Every key of a text, in its order.
pub(super) fn parse(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        problems.push(Problem::in_file(file, line, "", error.message()));
    }
    let mut settings = Vec::new();
    let mut reading = Reading {
        file,
        text,
        settings: &mut settings,
        problems,
    };
    reading.table("", table.get_ref());
    settings.sort_by_key(|setting| match setting.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    settings
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

struct Reading<'a> {
    file: &'a Path,
    text: &'a str,
    settings: &'a mut Vec<Setting>,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.table(&format!("{key}."), inner);
                continue;
            }
            let line = line_of(self.text, name.span().start);
            match written(value) {
                Ok(written) => self.settings.push(Setting {
                    key,
                    written,
                    origin: Origin::File {
                        file: self.file.to_owned(),
                        line,
                    },
                }),
                Err(what) => self
                    .problems
                    .push(Problem::in_file(self.file, line, &key, what)),
            }
        }
    }
}

fn written(value: &Spanned<DeValue<'_>>) -> Result<Written, &'static str> {
    let DeValue::Array(items) = value.get_ref() else {
        return scalar(value.get_ref()).map(Written::One);
    };
    let items = items.iter().map(|item| scalar(item.get_ref()));
    items.collect::<Result<_, _>>().map(Written::Many)
}

fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "is too large a number"),
        _ => Err("takes a text, a number, true or false, or a list of them"),
    }
}
