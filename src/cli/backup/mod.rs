//! `cupel backup`.

mod crypt;
mod form;

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use actix_web::rt;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::app::{DirectoryLock, place};
use crate::clock::Clock;
use crate::config::Config;
use crate::resolve::{KeyRing, KeyRingError};
use crate::store::{Place, Restoring, Snapshot, StoreError};
use crate::web::claim;

use super::Failure;
use super::lines::{Lines, count};
use super::local::Local;
use crypt::{By, For, make_identity};
use form::{Head, In, Out, Piece, Rows};

/// Standard input or output.
const STANDARD: &str = "-";

/// Keep everything elsewhere: keys and database, in one encrypted file
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a backup, also while servers run
    ///
    /// It has the key ring and everything in the database, as it was at one moment. What came since
    /// is in the journals, and counted again after a restore. It has no addresses, no day keys, and
    /// no configuration.
    ///
    /// Example: cupel backup create --data /var/lib/cupel --recipient age1… --out cupel.backup
    Create {
        #[command(flatten)]
        local: Local,
        #[command(flatten)]
        encrypted: For,
        /// The new file, or - for standard output; a file that is there stays as it is
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read a backup to its end: whether it can be opened, is whole, and what it has
    ///
    /// Example: cupel backup verify cupel.backup --identity backup.key
    Verify {
        /// The backup, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        opened: By,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a backup back: keys into the data directory, everything else into an empty database
    ///
    /// The database is the one that the configuration names: of the kind it was made of,
    /// or the other.
    /// Stop the servers first, and move away what is left of the old database. The journal stays
    /// where it is: what it has beyond the backup is counted at the next start.
    ///
    /// Example: cupel backup restore cupel.backup --identity backup.key --data /var/lib/cupel
    Restore {
        /// The backup, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        opened: By,
        #[command(flatten)]
        local: Local,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an identity that backups are encrypted for, and print its recipient
    ///
    /// Keep the file elsewhere than the server: it opens backups, and is not needed to make them.
    ///
    /// Example: cupel backup key --out backup.key
    Key {
        /// The new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl Backup {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Create {
                local,
                encrypted,
                out,
                json,
            } => create(&local, &encrypted, &out, json),
            What::Verify { file, opened, json } => verify(&file, &opened, json),
            What::Restore {
                file,
                opened,
                local,
                json,
            } => restore(&file, &opened, &local, json),
            What::Key { out } => {
                let recipient = make_identity(&out)?;
                let mut lines = Lines::new();
                lines.say(recipient);
                lines.finish()
            }
        }
    }
}

fn create(local: &Local, encrypted: &For, out: &Path, json: bool) -> Result<(), Failure> {
    let data = local.existing()?;
    let config = Config::load(&local.flags())?;
    let ring = KeyRing::open(&data.join("keys"), false);
    let keys = ring.and_then(|ring| ring.text()).map_err(of_keys)?;
    let standard = out == Path::new(STANDARD);
    if standard && std::io::stdout().is_terminal() {
        let line = "--out - is for a pipe; name a file";
        return Err(Failure::new(Failure::USAGE, line));
    }
    let cannot = |error: std::io::Error| {
        let line = format!("cannot write {}: {error}", out.display());
        Failure::new(Failure::CANNOT_CREATE, line)
    };
    let target = match standard {
        true => Target::Standard,
        false => Target::begin(out).map_err(cannot)?,
    };
    let head = Head::now(Clock.now());
    let bar = spinner();
    let written = rt::System::new().block_on(async {
        let encrypted = encrypted.encrypt(target.writer().map_err(cannot)?)?;
        let packed = GzEncoder::new(encrypted, Compression::fast());
        let lines = Out::begin(packed, &head, keys).map_err(cannot)?;
        let snapshot = Snapshot::take(&place(&config)).await.map_err(of_store)?;
        let snapshot = snapshot.ok_or_else(|| {
            let line = format!("{}: there is no database yet", data.display());
            Failure::new(Failure::NO_INPUT, line)
        })?;
        let (packed, rows) = write(snapshot, lines, &bar, cannot).await?;
        let mut written = packed.finish().and_then(|encrypted| encrypted.finish());
        if let Ok(file) = &mut written {
            file.flush().map_err(cannot)?;
        }
        written.map_err(cannot)?;
        Ok::<_, Failure>(rows)
    });
    bar.finish_and_clear();
    match written {
        Ok(rows) => {
            target.keep().map_err(cannot)?;
            match standard {
                true => Ok(()),
                false => say(&head, &rows, json, &format!("written to {}", out.display())),
            }
        }
        Err(failure) => {
            target.forget();
            Err(failure)
        }
    }
}

async fn write<W: Write>(
    mut snapshot: Snapshot,
    mut lines: Out<W>,
    bar: &ProgressBar,
    cannot: impl Fn(std::io::Error) -> Failure,
) -> Result<(W, Rows), Failure> {
    while let Some(page) = snapshot.next().await.map_err(of_store)? {
        bar.set_message(page.table);
        bar.set_position(lines.page(&page).map_err(&cannot)?);
    }
    snapshot.end().await;
    lines.end().map_err(cannot)
}

/// A backup that is read, and how it is called.
fn read(
    file: &Path,
    opened: &By,
) -> Result<(In<BufReader<GzDecoder<impl Read + use<>>>>, Head, String), Failure> {
    let shown = file.display().to_string();
    let from: Box<dyn Read> = match file == Path::new(STANDARD) {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(file).map_err(|error| Failure::no_input(file, &error))?),
    };
    let decrypted = opened.decrypt(BufReader::new(from), &shown)?;
    In::begin(BufReader::new(GzDecoder::new(decrypted)), &shown)
}

fn verify(file: &Path, opened: &By, json: bool) -> Result<(), Failure> {
    let (mut lines, head, keys) = read(file, opened)?;
    KeyRing::check(&keys).map_err(of_keys)?;
    let bar = spinner();
    let mut all = 0;
    let rows = loop {
        match lines.next()? {
            Piece::Rows(table, _, rows) => {
                all += u64::try_from(rows.len()).unwrap_or(0);
                bar.set_message(table);
                bar.set_position(all);
            }
            Piece::End(rows) => break rows,
        }
    };
    bar.finish_and_clear();
    say(&head, &rows, json, "whole, with its keys")
}

fn restore(file: &Path, opened: &By, local: &Local, json: bool) -> Result<(), Failure> {
    let data = local.data();
    let config = Config::load(&local.flags())?;
    let lock = DirectoryLock::take(&data)?;
    let (mut lines, head, keys) = read(file, opened)?;
    let source = format!("the backup of {}", head.created_at);
    let bar = spinner();
    let restored = rt::System::new().block_on(async {
        // Worth more than all the rest.
        KeyRing::restore(&data.join("keys"), &keys).map_err(of_keys)?;
        let place = place(&config);
        let begun = Restoring::begin(&place, &source).await;
        let mut into = begun.map_err(|error| of_target(error, &place))?;
        match put(&mut lines, &mut into, &bar).await {
            Ok(rows) => {
                into.finish().await.map_err(of_store)?;
                let ring = KeyRing::open(&data.join("keys"), false).map_err(of_keys)?;
                let claimed = claim(&place, &ring, Clock.now()).await;
                claimed.map_err(|error| Failure::new(Failure::UNAVAILABLE, error))?;
                Ok::<_, Failure>(rows)
            }
            Err(failure) => {
                into.give_up().await;
                Err(failure)
            }
        }
    });
    bar.finish_and_clear();
    drop(lock);
    say(&head, &restored?, json, "put back; now start the server")
}

async fn put<R: std::io::BufRead>(
    lines: &mut In<R>,
    into: &mut Restoring,
    bar: &ProgressBar,
) -> Result<Rows, Failure> {
    let mut all = 0;
    loop {
        match lines.next()? {
            Piece::Rows(table, columns, rows) => {
                let put = into.put(&table, &columns, &rows).await;
                put.map_err(|error| {
                    let failure = of_store(error);
                    Failure::new(failure.code, format!("{table}: {}", failure.line))
                })?;
                all += u64::try_from(rows.len()).unwrap_or(0);
                bar.set_message(table);
                bar.set_position(all);
            }
            Piece::End(rows) => return Ok(rows),
        }
    }
}

fn say(head: &Head, rows: &Rows, json: bool, done: &str) -> Result<(), Failure> {
    let mut lines = Lines::new();
    let all: u64 = rows.values().sum();
    if json {
        lines.say(json!({
            "created_at": head.created_at, "cupel": head.cupel, "rows": all, "tables": rows,
        }));
        return lines.finish();
    }
    for (table, rows) in rows.iter().filter(|(_, rows)| **rows > 0) {
        lines.say(format_args!(
            "{table:12} {:>14}",
            HumanCount(*rows).to_string()
        ));
    }
    let all = count(all, "row");
    let (at, by) = (head.created_at, &head.cupel);
    lines.say(format_args!("backup of {at} by cupel {by}, {all}: {done}"));
    lines.finish()
}

fn of_store(error: StoreError) -> Failure {
    let code = match error {
        StoreError::Unavailable(_) => Failure::UNAVAILABLE,
        StoreError::NotEmpty { .. } => Failure::CANNOT_CREATE,
        StoreError::Differs { .. } | StoreError::Unreadable(_) => Failure::DATA,
        _ => Failure::CONFIGURATION,
    };
    Failure::new(code, format!("store: {error}"))
}

fn of_keys(error: KeyRingError) -> Failure {
    Failure::new(Failure::CONFIGURATION, error)
}

/// What is in the way has a name that people know.
fn of_target(error: StoreError, place: &Place) -> Failure {
    let in_the_way = matches!(error, StoreError::NotEmpty { .. });
    match place {
        Place::Directory(data) if in_the_way => {
            let file = data.join("cupel.sqlite");
            let line = format!("{} has something already; move it away", file.display());
            Failure::new(Failure::CANNOT_CREATE, line)
        }
        _ => of_store(error),
    }
}

/// Where a backup goes: nobody finds half of one under its name.
enum Target {
    Standard,
    File { partial: PathBuf, to: PathBuf },
}

impl Target {
    fn begin(to: &Path) -> std::io::Result<Self> {
        if to.exists() {
            return Err(std::io::Error::other("it is there already"));
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        Ok(Self::File {
            partial: to.with_file_name(name),
            to: to.to_owned(),
        })
    }

    fn writer(&self) -> std::io::Result<Box<dyn Write>> {
        Ok(match self {
            Self::Standard => Box::new(BufWriter::new(std::io::stdout())),
            Self::File { partial, .. } => {
                let mut options = OpenOptions::new();
                let options = options.write(true).create(true).truncate(true).mode(0o600);
                Box::new(BufWriter::new(options.open(partial)?))
            }
        })
    }

    /// It is whole.
    fn keep(self) -> std::io::Result<()> {
        let Self::File { partial, to } = self else {
            return Ok(());
        };
        File::open(&partial)?.sync_all()?;
        // Not over a file that has come meanwhile.
        fs::hard_link(&partial, &to)?;
        fs::remove_file(&partial)
    }

    /// It is none.
    fn forget(self) {
        if let Self::File { partial, .. } = self {
            let _gone = fs::remove_file(partial);
        }
    }
}

/// How far it is, where somebody sees it.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {msg:12} {human_pos} rows  {elapsed}")
    {
        bar.set_style(style);
    }
    bar
}
