//! `cupel migrate`.

use actix_web::rt;
use serde_json::json;

use crate::app::place;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Place, Store, StoreError};

use super::Failure;
use super::lines::Lines;
use super::local::Local;

/// Bring the database's schema up to date, as every start of the server does
///
/// To see to it before the start. One that is broken off has changed nothing, or all of a step. A
/// database that a newer cupel has changed is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cupel migrate --data /var/lib/cupel --check")]
pub(super) struct Migrate {
    #[command(flatten)]
    local: Local,
    /// Say whether there is something to do, and do nothing; exit code 78 if there is
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.local.existing()?;
        let config = Config::load(&self.local.flags())?;
        let place = place(&config);
        let lock = match (&place, self.check) {
            // Who serves on a file has it open; a server takes care of those who ask it.
            (Place::Directory(_), false) => Some(self.local.lock()?),
            _ => None,
        };
        let (before, after) = rt::System::new().block_on(self.migrate(&place))?;
        drop(lock);
        self.say(before, after)
    }

    /// The schema before, and now.
    async fn migrate(&self, place: &Place) -> Result<(i64, i64), Failure> {
        let failed = |error: StoreError| {
            let code = match error {
                StoreError::Unavailable(_) => Failure::UNAVAILABLE,
                _ => Failure::CONFIGURATION,
            };
            Failure::new(code, format!("store: {error}"))
        };
        let known = Store::schema_known(place);
        let before = Store::schema(place).await.map_err(failed)?.unwrap_or(0);
        if before > known {
            let found = before;
            return Err(failed(StoreError::Newer { found, known }));
        }
        if self.check && before < known {
            let line = format!("store: schema {before}, and this cupel needs {known}");
            let failure = Failure::new(Failure::CONFIGURATION, line);
            return Err(failure.and("run cupel migrate, or start the server"));
        }
        if !self.check {
            let store = Store::open(place, Clock.now()).await.map_err(failed)?;
            store.close().await;
        }
        Ok((before, known))
    }

    fn say(&self, before: i64, after: i64) -> Result<(), Failure> {
        let mut lines = Lines::new();
        if self.json {
            lines.say(json!({"before": before, "schema": after}));
        } else if before == after {
            lines.say(format_args!("schema {after}, up to date"));
        } else {
            lines.say(format_args!("schema {after}, was {before}"));
        }
        lines.finish()
    }
}
