//! Tables and fields on standard output: as wide as a terminal, plain text elsewhere.
//!
//! What people typed into agents or names is shown with its control characters spelled out: a
//! terminal must not obey them.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::{Style, Term};
use indicatif::HumanCount;
use serde_json::Value;

use crate::telemetry;

use super::lines::Lines;

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// A number, with separators.
    Count,
    /// A number of something, without.
    Number,
    /// A time, to the second.
    Time,
}

/// A column, or a field of a single thing: its head, and where in an answer it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    head: &'static str,
    at: &'static str,
    form: Form,
}

/// A column of an answer.
pub(super) const fn column(head: &'static str, at: &'static str, form: Form) -> Column {
    Column { head, at, form }
}

impl Column {
    fn cell(&self, of: &Value) -> String {
        shown(of.pointer(self.at), self.form)
    }
}

/// A value as people read it; `-` for none. A server elsewhere may send anything.
pub(super) fn shown(value: Option<&Value>, form: Form) -> String {
    harmless(&written(value, form))
}

fn written(value: Option<&Value>, form: Form) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if form == Form::Time => to_the_second(text),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if form == Form::Count => match number.as_u64() {
            Some(count) => HumanCount(count).to_string(),
            None => number.to_string(),
        },
        Some(other) => other.to_string(),
    }
}

fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// Text without characters that a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if telemetry::is_hostile(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A table that may come in parts, which stay aligned as far as the first part can tell.
pub(super) struct Sheet {
    heads: Vec<(&'static str, Form)>,
    rows: Vec<Vec<String>>,
    widths: Vec<u16>,
}

impl Sheet {
    pub(super) fn new(heads: impl IntoIterator<Item = (&'static str, Form)>) -> Self {
        Self {
            heads: heads.into_iter().collect(),
            rows: Vec::new(),
            widths: Vec::new(),
        }
    }

    pub(super) fn of(columns: &[Column]) -> Self {
        Self::new(columns.iter().map(|column| (column.head, column.form)))
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn add(&mut self, columns: &[Column], of: &Value) {
        self.row(columns.iter().map(|column| column.cell(of)).collect());
    }

    /// Prints what was added since the last time; `false` once nobody reads it.
    pub(super) fn print(&mut self, lines: &mut Lines) -> bool {
        let first = self.widths.is_empty();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match terminal_width() {
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        if first {
            table.set_header(self.heads.iter().map(|(head, _)| *head));
        }
        table.add_rows(std::mem::take(&mut self.rows));
        let columns = table.column_iter_mut().zip(&self.heads);
        for (index, (column, (_, form))) in columns.enumerate() {
            column.set_padding((0, 2));
            if matches!(form, Form::Count | Form::Number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if let Some(width) = self.widths.get(index) {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width)));
            }
        }
        if first {
            let widths = table.column_max_content_widths();
            self.widths = widths.iter().map(|width| width + 2).collect();
        }
        let mut heard = true;
        for (index, line) in table.lines().enumerate() {
            let line = line.trim_end();
            heard = match first && index == 0 {
                true => lines.say(Style::new().bold().apply_to(line)),
                false => lines.say(line),
            };
        }
        heard
    }
}

/// Prints a single thing, a field a line.
pub(super) fn print_fields(lines: &mut Lines, columns: &[Column], of: &Value) {
    let wide = columns.iter().map(|column| column.head.len()).max();
    let wide = wide.unwrap_or_default();
    for column in columns {
        let head = format!("{:<wide$}", column.head.to_lowercase());
        lines.say(format_args!("{head}  {}", column.cell(of)));
    }
}

fn terminal_width() -> Option<u16> {
    let terminal = Term::stdout();
    let sized = terminal.is_term().then(|| terminal.size_checked());
    sized.flatten().map(|(_, columns)| columns)
}
