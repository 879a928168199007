//! What every command of the API has: where it works and how it prints; single things and lists.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;

use super::Failure;
use super::connection::{Connection, Request};
use super::lines::Lines;
use super::reach::Reach;
use super::sheet::{Column, Sheet, print_fields};

/// Rows of one page; the API gives no more.
const PAGE_ROWS_MAX: u64 = 1_000;
/// How often new events are asked for.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Where a command works and how it prints.
#[derive(Debug, clap::Args)]
pub(super) struct Ask {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Print JSON as the API gives it: one document, or for lists one object a line
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Ask {
    /// Calls, and prints the thing that comes back.
    pub(super) fn one(&self, request: &Request<'_>, columns: &[Column]) -> Result<(), Failure> {
        self.print(&self.reach.open()?.call(request)?, columns)
    }

    /// Prints a single thing.
    pub(super) fn print(&self, thing: &Value, columns: &[Column]) -> Result<(), Failure> {
        let mut lines = Lines::new();
        if self.json {
            lines.say(thing);
        } else {
            print_fields(&mut lines, columns, thing);
        }
        lines.finish()
    }

    /// Prints the member of an answer that has all of something, an object a line as JSON.
    pub(super) fn all(
        &self,
        answer: &Value,
        member: &str,
        columns: &'static [Column],
    ) -> Result<(), Failure> {
        let mut rows = self.rows(columns);
        let things = answer.get(member).and_then(Value::as_array);
        rows.print(things.into_iter().flatten());
        rows.finish()
    }

    /// Prints rows as they come; a table in parts, or an object a line.
    pub(super) fn rows(&self, columns: &'static [Column]) -> Rows<'_> {
        Rows {
            ask: self,
            columns,
            sheet: Sheet::of(columns),
            lines: Lines::new(),
        }
    }
}

/// Rows on standard output.
pub(super) struct Rows<'a> {
    ask: &'a Ask,
    columns: &'static [Column],
    sheet: Sheet,
    lines: Lines,
}

impl Rows<'_> {
    /// Prints some; `false` once nobody reads them.
    pub(super) fn print<'v>(&mut self, rows: impl IntoIterator<Item = &'v Value>) -> bool {
        let mut heard = true;
        for row in rows {
            if self.ask.json {
                heard = self.lines.say(row);
            } else {
                self.sheet.add(self.columns, row);
            }
        }
        if !self.ask.json {
            heard = self.sheet.print(&mut self.lines);
        }
        self.lines.show() && heard
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        self.lines.finish()
    }
}

/// A list that comes in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages<'a> {
    /// The call for its first page.
    pub(super) request: &'a Request<'a>,
    /// The member of an answer that has the rows.
    pub(super) member: &'static str,
    /// Rows at most.
    pub(super) limit: Option<NonZeroU64>,
    /// Where to begin, as the API said it.
    pub(super) after: Option<&'a str>,
    /// Whether to wait for more at the end. Rows need an `id` for that.
    pub(super) follow: bool,
}

impl<'a> Pages<'a> {
    /// From the first to the last, or so many.
    pub(super) const fn of(
        request: &'a Request<'a>,
        member: &'static str,
        limit: Option<NonZeroU64>,
    ) -> Self {
        Self {
            request,
            member,
            limit,
            after: None,
            follow: false,
        }
    }

    /// Prints all of them.
    pub(super) fn print(&self, ask: &Ask, columns: &'static [Column]) -> Result<(), Failure> {
        // One of our own would keep every other server from the directory, and never see a hit.
        let connection = match self.follow {
            true => ask.reach.served()?,
            false => ask.reach.open()?,
        };
        let mut rows = ask.rows(columns);
        let mut left = self.limit.map_or(u64::MAX, NonZeroU64::get);
        let mut after = self.after.map(str::to_owned);
        let mut first = true;
        loop {
            let (page, next) = self.page(&connection, after.as_deref(), left)?;
            left = left.saturating_sub(u64::try_from(page.len()).unwrap_or(u64::MAX));
            let last = page.last().and_then(|row| row.get("id")).map(word);
            let heard = (page.is_empty() && !first) || rows.print(&page);
            first = false;
            if !heard || left == 0 {
                break;
            }
            match next {
                Some(next) => after = Some(next),
                None if self.follow => {
                    after = last.or(after);
                    std::thread::sleep(FOLLOW_EVERY);
                }
                None => break,
            }
        }
        rows.finish()
    }

    fn page(
        &self,
        connection: &Connection,
        after: Option<&str>,
        left: u64,
    ) -> Result<(Vec<Value>, Option<String>), Failure> {
        let request = self.request.clone().with("after", after);
        let request = request.with("limit", Some(left.min(PAGE_ROWS_MAX)));
        let mut answer = connection.call(&request)?;
        let next = answer.get("next").filter(|next| !next.is_null()).map(word);
        let rows = answer.get_mut(self.member).map(Value::take);
        match rows {
            Some(Value::Array(rows)) => Ok((rows, next)),
            _ => Err(Failure::new(
                Failure::PROTOCOL,
                format!("the server sent no {}", self.member),
            )),
        }
    }
}

/// A string or number without quotes.
fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads one of the domain's names, and shows all of them in the help.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let names = all.iter().map(move |one| name(*one));
    PossibleValuesParser::new(names).try_map(move |text| {
        let found = all.iter().find(|one| name(**one) == text);
        found.copied().ok_or("is none of them")
    })
}

/// A JSON object of the members that were given.
pub(super) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}
