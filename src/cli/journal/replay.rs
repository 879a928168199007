//! `cupel journal replay`.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use actix_web::rt;
use serde_json::json;

use crate::app::{self, Outlook, Replayed};
use crate::config::Config;
use crate::journal::JournalError;
use crate::settle::SettleError;
use crate::store::StoreError;
use crate::telemetry;

use super::super::Failure;
use super::super::lines::{Lines, count, tell};
use super::super::local::Local;
use super::{kinds, survey};

/// How often a terminal is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Replay {
    #[command(flatten)]
    local: Local,
    /// Position that the database is expected at: replay what stands after it, or refuse
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// Say what would be replayed, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        let survey = survey(&self.local)?;
        let lock = match self.dry_run {
            true => None,
            false => Some(self.local.lock()?),
        };
        let config = Config::load(&self.local.flags())?;
        let outlook = rt::System::new()
            .block_on(Outlook::of(&config, &survey))
            .map_err(failed)?;
        let Some(outlook) = outlook else {
            let what = "no database here; put back its backup, or start the server once";
            let line = match config.store {
                Some(_) => format!("store: {what}"),
                None => format!("{}: {what}", config.data.display()),
            };
            return Err(Failure::new(Failure::CONFIGURATION, line));
        };
        self.check_from(&outlook)?;
        let mut lines = Lines::new();
        let Some(lock) = lock else {
            self.say_outlook(&mut lines, &outlook);
            return lines.finish();
        };
        telemetry::start_logs(config.log_format, &config.live.log_filter);
        let mut teller = Teller::new();
        let replayed = rt::System::new()
            .block_on(app::replay(&config, &lock, &mut |so_far| {
                teller.tell(so_far)
            }))
            .map_err(failed)?;
        teller.finish();
        self.say_replayed(&mut lines, &outlook, &replayed);
        lines.finish()
    }

    fn check_from(&self, outlook: &Outlook) -> Result<(), Failure> {
        let position = outlook.position;
        let why = match self.from {
            Some(from) if from < position => format!(
                "--from {from}: the database is at position {position}; records up to there are \
                 counted already, and would be counted twice"
            ),
            Some(from) if from > position => format!(
                "--from {from}: the database is at position {position}; records between would \
                 never be counted"
            ),
            _ => return Ok(()),
        };
        Err(Failure::new(Failure::DATA, why))
    }

    fn say_outlook(&self, lines: &mut Lines, outlook: &Outlook) {
        let Outlook {
            position,
            last,
            records,
            unlogged,
            expired,
        } = outlook;
        if self.json {
            lines.say(json!({
                "dry_run": true,
                "from": position,
                "last": last,
                "records": records,
                "in_rings": unlogged,
                "expired": expired,
            }));
            return;
        }
        lines.say(format_args!(
            "would replay {} after position {position}: {}",
            count(records.total(), "record"),
            kinds(records)
        ));
        if unlogged.total() > 0 {
            lines.say(format_args!("and from the rings: {}", kinds(unlogged)));
        }
        self.say_expired(lines, outlook);
    }

    fn say_replayed(&self, lines: &mut Lines, outlook: &Outlook, replayed: &Replayed) {
        let Replayed {
            records,
            hits,
            settled,
            position,
            damaged,
        } = replayed;
        if self.json {
            lines.say(json!({
                "dry_run": false,
                "from": outlook.position,
                "position": position,
                "records": records,
                "hits": hits,
                "settled": settled,
                "damaged": damaged,
                "expired": outlook.expired,
            }));
            return;
        }
        lines.say(format_args!(
            "replayed {} ({}) to position {position}; closed {}",
            count(*records, "record"),
            count(*hits, "hit"),
            count(*settled, "window"),
        ));
        if *damaged > 0 {
            let spans = count(*damaged, "damaged span");
            lines.say(format_args!(
                "passed over {spans}; see cupel journal verify"
            ));
        }
        self.say_expired(lines, outlook);
    }

    fn say_expired(&self, lines: &mut Lines, outlook: &Outlook) {
        if outlook.expired > 0 {
            let (from, to) = (outlook.position + 1, outlook.position + outlook.expired);
            lines.say(format_args!(
                "sequences {from} to {to} are no longer in the journal"
            ));
        }
    }
}

fn failed(error: anyhow::Error) -> Failure {
    let away = error.is::<StoreError>() || error.is::<JournalError>() || error.is::<SettleError>();
    if away {
        Failure::new(Failure::UNAVAILABLE, format!("{error:#}"))
    } else {
        error.into()
    }
}

/// Tells a terminal how far a long replay is.
struct Teller {
    told: Instant,
    at_all: bool,
    terminal: bool,
}

impl Teller {
    fn new() -> Self {
        Self {
            told: Instant::now(),
            at_all: false,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn tell(&mut self, so_far: &Replayed) {
        if self.terminal && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.at_all = true;
            let records = count(so_far.records, "record");
            let position = so_far.position;
            drop(write!(
                std::io::stderr(),
                "\rreplaying: {records}, position {position}"
            ));
        }
    }

    fn finish(self) {
        if self.at_all {
            tell("");
        }
    }
}
