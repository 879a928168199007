//! Where mint's rows go. Whatever is refused, nothing that was there is lost, and nothing is left
//! behind.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::super::Failure;
use super::super::files::{
    Identity, Replacement, cannot_make, cannot_write, is_stream, make, standard_output,
};
use super::Mint;
use super::dialect::Dialect;
use super::input::Input;
use super::output::{Begin, Output};
use super::written::Written;

/// Name of the column that says what is wrong with a row; without a header each begins with LINE.
const ERROR: &[u8] = b"cupel_error";
const LINE: &[u8] = b"line ";
/// How much of a file of bad rows is looked at to know it for one.
const BEGIN_BYTES: u64 = 64 << 10;

/// Where rows go, and what is there already.
pub(super) struct Places {
    pub(super) output: Output,
    pub(super) written: Written,
    pub(super) apart: Option<Output>,
    /// Whose place the rows apart take once it is sure that a merge goes on.
    pub(super) replacement: Option<Replacement>,
}

/// A file that rows are to be written to, and that nothing was written to yet.
struct Opened {
    file: File,
    shown: String,
    /// It gets a beginning.
    fresh: bool,
    /// It was made just now.
    made: Option<PathBuf>,
    written: Written,
    replacement: Option<Replacement>,
}

impl Mint {
    /// Opens everything before the first byte is written.
    pub(super) fn places(
        &self,
        input: &Input,
        header: Option<&ByteRecord>,
        width: usize,
    ) -> Result<Places, Failure> {
        let dialect = &input.table.dialect;
        let begin = Begin { dialect, header };
        let out = match self.out_file() {
            Some(path) => self.out(path, begin, width, input)?,
            None => Opened {
                file: standard_output()?,
                shown: "standard output".to_owned(),
                fresh: !self.no_header,
                made: None,
                written: Written {
                    rows: self.skip_rows,
                    ..Written::default()
                },
                replacement: None,
            },
        };
        refuse_input(&out.file, &out.shown, input)?;
        let apart = self.apart(input, &out).inspect_err(|_| {
            if let Some(path) = &out.made {
                drop(fs::remove_file(path));
            }
        })?;
        if self.resume {
            out.written.cut(&out.file, Path::new(&out.shown))?;
        }
        let heads = input.table.header.clone().map(|mut header| {
            header.push_field(ERROR);
            header
        });
        let begin_apart = Begin {
            dialect,
            header: heads.as_ref(),
        };
        let (apart, replacement) = match apart {
            Some(it) => {
                let apart = Output::new(begin_apart, it.file, &it.shown, it.fresh)?;
                (Some(apart), it.replacement)
            }
            None => (None, None),
        };
        Ok(Places {
            output: Output::new(begin, out.file, &out.shown, out.fresh)?,
            written: out.written,
            apart,
            replacement,
        })
    }

    /// A new file, or the one that broke off.
    fn out(
        &self,
        path: &Path,
        begin: Begin<'_>,
        width: usize,
        input: &Input,
    ) -> Result<Opened, Failure> {
        let shown = path.display().to_string();
        if is_stream(path) {
            let what = "is no file: rows go there from standard output, without --out";
            return Err(Failure::new(
                Failure::CANNOT_CREATE,
                format!("{shown} {what}"),
            ));
        }
        if self.resume && path.exists() {
            let opened = OpenOptions::new().read(true).write(true).open(path);
            let file = opened.map_err(|error| cannot_write(&shown, &error))?;
            refuse_input(&file, &shown, input)?;
            let written = Written::of(begin, width, &file, path)?;
            written.be_of(self.campaign, input.table.columns, path)?;
            return Ok(Opened {
                file,
                shown,
                fresh: written.bytes == 0,
                made: None,
                written,
                replacement: None,
            });
        }
        Ok(Opened {
            file: make(path, "go on with it by --resume, or remove it")?,
            shown,
            fresh: true,
            made: Some(path.to_owned()),
            written: Written::default(),
            replacement: None,
        })
    }

    /// Where rows go that cannot be minted for. When a merge is gone on with they are written anew,
    /// since reading finds them anew.
    fn apart(&self, input: &Input, out: &Opened) -> Result<Option<Opened>, Failure> {
        let Some(path) = &self.skip_bad else {
            return Ok(None);
        };
        let stream = is_stream(path);
        let again = !stream && path.exists() && (self.resume || self.skip_rows > 0);
        let file = match (stream, again) {
            (true, _) => OpenOptions::new()
                .write(true)
                .open(path)
                .map_err(|error| cannot_make(path, &error))?,
            (_, true) => File::open(path).map_err(|error| cannot_make(path, &error))?,
            _ => make(path, "name another with --skip-bad, or remove it")?,
        };
        let mut opened = Opened {
            file,
            shown: path.display().to_string(),
            fresh: true,
            made: None,
            written: Written::default(),
            replacement: None,
        };
        refuse_input(&opened.file, &opened.shown, input)?;
        let identity = Identity::of(&opened.file);
        if identity.is_some() && identity == Identity::of(&out.file) {
            let line = format!("{}: is where the merged CSV goes", opened.shown);
            return Err(Failure::new(Failure::USAGE, line));
        }
        if again {
            if !holds_bad_rows(&opened.file, &input.table.dialect) {
                let what = "holds no rows that were put apart; name another with --skip-bad";
                let line = format!("{}: {what}", opened.shown);
                return Err(Failure::new(Failure::CANNOT_CREATE, line));
            }
            let (file, replacement) = Replacement::begin(path)?;
            (opened.file, opened.replacement) = (file, Some(replacement));
        }
        Ok(Some(opened))
    }
}

/// Refuses to write into what is read.
fn refuse_input(file: &File, shown: &str, input: &Input) -> Result<(), Failure> {
    if input.identity.is_some() && input.identity == Identity::of(file) {
        let line = format!("{shown}: is the file that is read");
        return Err(Failure::new(Failure::USAGE, line));
    }
    Ok(())
}

/// Whether a file was written by --skip-bad, as its beginning tells, or is empty.
fn holds_bad_rows(file: &File, dialect: &Dialect) -> bool {
    let mut reader = dialect.reader().from_reader(file.take(BEGIN_BYTES));
    let first = reader.byte_records().next().transpose();
    first.is_ok_and(|first| match first {
        None => true,
        Some(first) => {
            let last = first.iter().next_back();
            last.is_some_and(|last| last == ERROR || last.starts_with(LINE))
        }
    })
}
