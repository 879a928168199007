//! `cupel mint`: a CSV of recipients in, the same with a token and act tags in each row out.
//!
//! Memory is constant: a few batches are on their way at a time, whatever the size of the file.

mod dialect;
mod id_column;
mod input;
mod output;
mod progress;
mod run;
mod tokens;

use std::path::{Path, PathBuf};

use csv::ByteRecord;
use indicatif::HumanCount;

use crate::app;

use super::Failure;
use super::ask::Ask;
use super::lines::{Lines, tell};
use dialect::Known;
use input::{Input, Source};
use output::{Begin, Output, Written};
use progress::Progress;
use run::Run;
use tokens::Minter;

/// Add the merge columns that a campaign's templates need to a CSV of recipients
///
/// Delimiter, quotes, line ends and header are told from the file's beginning, and so is the column
/// with recipients' ids; standard error says what was found. The output is written in the same way,
/// with the columns cupel_token and cupel_act_N behind the others.
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
    /// Where the merged CSV is written, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on where --out broke off
    #[arg(long, requires = "out")]
    resume: bool,
    /// Rows that are out already
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(conflicts_with = "resume")]
    skip_rows: u64,
    /// Write no header row
    #[arg(long, conflicts_with = "resume")]
    no_header: bool,
    /// Put rows that cannot be minted for into this file, with the reason; without it they end the
    /// command
    #[arg(long, value_name = "FILE")]
    skip_bad: Option<PathBuf>,
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
        let usage = |what: &str| Failure::new(Failure::USAGE, what);
        let file = self.file.as_deref().filter(|file| *file != Path::new("-"));
        if file.is_none() && self.ask.reach.takes_stdin() {
            return Err(usage(
                "standard input is the key already; name the recipients' file",
            ));
        }
        if self.ask.json && self.out.is_none() {
            return Err(usage(
                "--json needs --out: standard output is the merged CSV",
            ));
        }
        let source = Source::open(file)?;
        let size = source.size;
        let known = Known {
            delimiter: self.delimiter,
            header: self.header.as_deref().map(|header| header == "yes"),
        };
        let input = Input::open(source, known, self.id_column.as_deref())?;
        let connection = self.ask.reach.open()?;
        let minter = Minter::of(&connection, self.campaign)?;
        let columns = minter.columns();
        self.say(&input, &columns);
        let header = merged_header(&input, &columns)?;
        let begin = Begin {
            dialect: &input.dialect,
            header: header.as_ref().filter(|_| !self.no_header),
        };
        let width = input.columns() + columns.len();
        let (output, written) = self.output(begin, width)?;
        let apart = self.apart(&input)?;
        let mut run = Run {
            stop: app::stop_when_interrupted().map_err(anyhow::Error::from)?,
            progress: Progress::new(size),
            skipped: written.rows,
            failed: None,
            input,
            output,
            apart,
        };
        run.skip(&written)?;
        let ended = run.go(&minter);
        run.progress.clear();
        let ended = ended.and_then(|()| run.interrupted());
        ended.map_err(|error| match run.skipped + run.progress.rows {
            0 => error,
            out => error.and(self.how_to_go_on(out)),
        })?;
        if self.ask.json {
            let dialect = run.input.dialect.shown();
            let mut lines = Lines::new();
            lines.say(run.progress.json(run.skipped, &columns, &dialect));
            return lines.finish();
        }
        tell(run.progress.line());
        Ok(())
    }

    fn say(&self, input: &Input, columns: &[String]) {
        if self.ask.json {
            return;
        }
        let name = input.header.as_ref().and_then(|row| row.get(input.id.at));
        let name = name.map(|name| format!(" ({})", String::from_utf8_lossy(name)));
        tell(format_args!("{}: {}", input.shown, input.dialect.shown()));
        tell(format_args!(
            "recipients' ids: column {}{}, {}",
            input.id.at + 1,
            name.unwrap_or_default(),
            input.id.why
        ));
        tell(format_args!("adding: {}", columns.join(", ")));
    }

    /// Where rows go, and what is there already.
    fn output(&self, begin: Begin<'_>, width: usize) -> Result<(Output, Written), Failure> {
        let skip = Written {
            rows: self.skip_rows,
            ..Written::default()
        };
        let Some(out) = &self.out else {
            return Ok((Output::standard(begin, !self.no_header)?, skip));
        };
        let before = match self.resume {
            true => Written::of(begin, width, out)?,
            false => None,
        };
        match before {
            Some(written) => Ok((Output::append(begin, out, &written)?, written)),
            None => Ok((Output::create(begin, out)?, skip)),
        }
    }

    /// Where rows go that cannot be minted for: written anew, since reading finds them anew.
    fn apart(&self, input: &Input) -> Result<Option<Output>, Failure> {
        let Some(path) = &self.skip_bad else {
            return Ok(None);
        };
        let header = input.header.clone().map(|mut header| {
            header.push_field(b"cupel_error");
            header
        });
        let begin = Begin {
            dialect: &input.dialect,
            header: header.as_ref(),
        };
        std::fs::File::create(path).map_err(|error| {
            let line = format!("cannot make {}: {error}", path.display());
            Failure::new(Failure::CANNOT_CREATE, line)
        })?;
        Output::append(begin, path, &Written::default()).map(Some)
    }

    fn how_to_go_on(&self, rows: u64) -> String {
        let out = format!("{} rows are out; go on with", HumanCount(rows));
        match self.out {
            Some(_) => format!("{out} --resume"),
            None => format!("{out} --skip-rows {rows} --no-header"),
        }
    }
}

/// The header with our columns behind, unless it has one of them already.
fn merged_header(input: &Input, columns: &[String]) -> Result<Option<ByteRecord>, Failure> {
    let Some(mut header) = input.header.clone() else {
        return Ok(None);
    };
    let taken = |name: &&String| header.iter().any(|head| head == name.as_bytes());
    if let Some(name) = columns.iter().find(taken) {
        let what = "rename or remove it: that name is one of those to be added";
        let line = format!("{}: has a column {name} already; {what}", input.shown);
        return Err(Failure::new(Failure::DATA, line));
    }
    for name in columns {
        header.push_field(name.as_bytes());
    }
    Ok(Some(header))
}
