//! `cupel journal`: looking at a journal, and settling it without serving.

mod inspect;
mod replay;
mod verify;

use crate::journal::{JournalError, Kinds, Survey};

use super::Failure;
use super::lines::count;
use super::local::Local;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Journal {
    /// Walk every segment and the rings, and name what is damaged or missing
    ///
    /// Reads only, makes no file, and works while a server runs on the directory. Ends with 0 if
    /// all is sound, and with 65 if anything is damaged or missing.
    ///
    /// Example: cupel journal verify --data /var/lib/cupel
    Verify(verify::Verify),
    /// Print records, one a line
    ///
    /// Reads only, makes no file, and works while a server runs on the directory. Shows the log:
    /// records that are still in the rings have no sequence yet. Damage is passed over, and named
    /// on standard error.
    ///
    /// Example: cupel journal inspect --data /var/lib/cupel --kind act --campaign 7
    Inspect(inspect::Inspect),
    /// Settle what the database does not have yet, without serving
    ///
    /// A server does this by itself when it starts, also after a backup of the database was put
    /// back. This does it without taking requests, and only while no server has the directory:
    /// what the journal has after the database's position is written and counted, once, and
    /// `[settle] paused` is not heeded. With --dry-run it reads only, also beside a server.
    ///
    /// Example: cupel journal replay --data /var/lib/cupel --dry-run
    Replay(replay::Replay),
}

impl Journal {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Verify(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Replay(command) => command.run(),
        }
    }
}

/// The journal of a data directory, to be read.
fn survey(local: &Local) -> Result<Survey, Failure> {
    let directory = local.existing()?.join("journal");
    let found = Survey::open(&directory).map_err(refused)?;
    found.ok_or_else(|| {
        let shown = directory.display();
        let line = format!("{shown}: no journal here; name the server's directory with --data");
        Failure::new(Failure::CONFIGURATION, line)
    })
}

fn refused(error: JournalError) -> Failure {
    let code = match error {
        JournalError::Edge { .. } => Failure::DATA,
        _ => Failure::UNAVAILABLE,
    };
    Failure::new(code, error)
}

/// Records by kind; kinds that there are none of are left out.
fn kinds(kinds: &Kinds) -> String {
    let named = [
        (kinds.hits, "hit"),
        (kinds.texts, "text"),
        (kinds.acts, "act"),
        (kinds.acceptances, "acceptance"),
        (kinds.received, "delivery event"),
        (kinds.newer, "newer record"),
    ];
    let there = named.into_iter().filter(|(number, _)| *number > 0);
    let there: Vec<_> = there.map(|(number, one)| count(number, one)).collect();
    if there.is_empty() {
        "nothing".to_owned()
    } else {
        there.join(", ")
    }
}
