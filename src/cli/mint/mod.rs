//! `cupel mint`: a CSV of recipients in, the same with a token and act tags in each row out.
//!
//! Memory is constant: a few batches are on their way at a time, whatever the size of the file.

mod check;
mod dialect;
mod id_column;
mod input;
mod output;
mod places;
mod progress;
mod run;
mod table;
mod tokens;
mod written;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::ByteRecord;

use crate::app;

use super::Failure;
use super::ask::Ask;
use super::files::{Source, named};
use super::lines::{Lines, tell};
pub(super) use dialect::Known;
use input::Input;
use progress::{Away, Progress};
use run::Run;
pub(super) use table::Table;
use tokens::Minter;

/// Add the merge columns that a campaign's templates need to a CSV of recipients
///
/// Delimiter, quotes, line ends and header are told from the file's beginning, and so is the column
/// with recipients' ids; standard error says what was found. The output is written in the same way,
/// with the columns cupel_message, cupel_token and cupel_act_N behind the others; a first line such
/// as "sep=;" is left out. Nothing that is there already is overwritten. Events and deliveries name
/// a message as cupel_message does: keep it, and hits find their rows again.
///
/// What broke off goes on: with --out by --resume, on standard output by --skip-rows and
/// --no-header, as the line says that it ends with. Rows already out keep their tokens.
///
/// Example: cupel mint --campaign 7 < recipients.csv > merged.csv
#[derive(Debug, clap::Args)]
pub(super) struct Mint {
    #[command(flatten)]
    ask: Ask,
    /// The recipients; standard input if - or left out
    file: Option<PathBuf>,
    /// Number of the campaign
    #[arg(long, value_name = "N")]
    campaign: u32,
    /// Column with recipients' ids, by its name or its number from 1
    #[arg(long, value_name = "NAME|N")]
    id_column: Option<String>,
    /// What stands between fields: a character, or tab
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Whether the first row names the columns
    #[arg(long, value_parser = ["yes", "no"], hide_possible_values = true, value_name = "yes|no")]
    header: Option<String>,
    /// A new file for the merged CSV; standard output if - or left out
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on where --out broke off
    #[arg(long, requires = "out")]
    resume: bool,
    /// Rows that are out already, on standard output
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(conflicts_with = "resume")]
    skip_rows: u64,
    /// Write no header row, on standard output
    #[arg(long, conflicts_with = "resume")]
    no_header: bool,
    /// Put rows that cannot be minted for into this new file, with the reason; without it they end
    /// the command. It is written anew where a merge is gone on with
    #[arg(long, value_name = "FILE")]
    skip_bad: Option<PathBuf>,
    /// Read all of the input and say what is wrong with it; mint and write nothing
    #[arg(long)]
    check: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if !matches!(byte, b'"' | b'\r' | b'\n' | 0 | 128..) => Ok(*byte),
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        _ => Err("write one ASCII character, or tab".to_owned()),
    }
}

impl Mint {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.refuse_usage()?;
        let source = Source::open(self.file.as_deref(), &self.ask.reach, "recipients")?;
        let size = source.size();
        let known = Known {
            delimiter: self.delimiter,
            header: self.header.as_deref().map(|header| header == "yes"),
        };
        let mut input = Input::open(source, known, self.id_column.as_deref())?;
        let minter = Arc::new(Minter::of(self.ask.reach.open()?, self.campaign)?);
        let columns = minter.columns();
        let header = merged_header(&input, &columns)?;
        if self.check {
            return check::check(&mut input, &columns, self.ask.json);
        }
        if !self.ask.json && !self.quiet {
            about(&input, &columns).iter().for_each(tell);
        }
        let width = input.table.columns + columns.len();
        let header = header.as_ref().filter(|_| !self.no_header);
        let places = self.places(&input, header, width)?;
        let rows_are_seen = self.out_file().is_none() && std::io::stdout().is_terminal();
        let progress = Progress::new(size, !self.quiet && !rows_are_seen);
        let away = Arc::new(Away::beside(&progress, self.quiet));
        let stop = app::stop_when_interrupted().map_err(anyhow::Error::from)?;
        let mut run = Run::new(input, places.output, places.apart, progress, stop);
        let ended = run
            .skip(&places.written, places.replacement)
            .and_then(|()| run.all(&minter, &away));
        run.progress.clear();
        ended.map_err(|error| match run.how_to_go_on(self.out_file().is_some()) {
            Some(more) => error.and(more),
            None => error,
        })?;
        if self.ask.json {
            let dialect = run.input.table.dialect.shown();
            let mut lines = Lines::new();
            lines.say(run.progress.json(run.skipped, &columns, &dialect));
            return lines.finish();
        }
        if !self.quiet {
            tell(run.progress.line());
        }
        Ok(())
    }

    fn out_file(&self) -> Option<&Path> {
        named(self.out.as_deref())
    }

    fn refuse_usage(&self) -> Result<(), Failure> {
        let file = self.out_file().is_some();
        let line = if self.ask.json && !file && !self.check {
            "--json needs --out: standard output is the merged CSV"
        } else if self.resume && !file {
            "--resume needs a file with --out; standard output goes on by --skip-rows"
        } else if file && (self.skip_rows > 0 || self.no_header) {
            "--skip-rows and --no-header are for standard output; --out goes on by --resume"
        } else if self.skip_bad.as_deref() == Some(Path::new("-")) {
            "--skip-bad needs a file"
        } else {
            return Ok(());
        };
        Err(Failure::new(Failure::USAGE, line))
    }
}

/// How the input was understood, and what is added to it.
fn about(input: &Input, columns: &[String]) -> [String; 3] {
    let (table, id) = (&input.table, &input.id);
    let name = table.header.as_ref().and_then(|row| row.get(id.at));
    let name = name.map(|name| format!(" ({})", String::from_utf8_lossy(name)));
    let name = name.unwrap_or_default();
    [
        format!("{}: {}", table.shown, table.dialect.shown()),
        format!("recipients' ids: column {}{name}, {}", id.at + 1, id.why),
        format!("adding: {}", columns.join(", ")),
    ]
}

/// The header with our columns behind, unless it has one of them already.
fn merged_header(input: &Input, columns: &[String]) -> Result<Option<ByteRecord>, Failure> {
    let Some(mut header) = input.table.header.clone() else {
        return Ok(None);
    };
    let taken = |name: &&String| header.iter().any(|head| head == name.as_bytes());
    if let Some(name) = columns.iter().find(taken) {
        let what = "rename or remove it: that name is one of those to be added";
        let line = format!("{}: has a column {name} already; {what}", input.table.shown);
        return Err(Failure::new(Failure::DATA, line));
    }
    for name in columns {
        header.push_field(name.as_bytes());
    }
    Ok(Some(header))
}
