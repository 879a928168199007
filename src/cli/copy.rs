//! `cupel copy`.

use actix_web::rt;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, json};

use crate::app::DirectoryLock;
use crate::clock::Clock;
use crate::config::without_password;
use crate::resolve::KeyRing;
use crate::store::{self, Copied, Place, Store, StoreError};
use crate::web::claim;

use super::Failure;
use super::lines::{Lines, count};
use super::reach::existing;

/// Copy a whole installation's database into another, of either kind
///
/// Campaigns, links, keys of the API, hits, judgements and sums, with their numbers; the new
/// database must be empty. Stop the servers that use either first. Run the same command again after
/// it was broken off: it goes on where it was. At the end the rows of both are counted and
/// compared; then write the new place into the configuration as `store`, and start the server. The
/// data directory stays what it is: its keys, journal and catalogue go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cupel copy --from sqlite:/var/lib/cupel --to \
                  postgres://cupel@db.example.com/cupel")]
pub(super) struct Copy {
    /// Database to copy: sqlite:DIR, a server's data directory, or postgres://…
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Database that is to have it; a password may stand in ~/.pgpass or PGPASSWORD
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A place, and how it is shown.
#[derive(Clone, Debug)]
struct Named {
    place: Place,
    shown: String,
}

/// What is wrong is said without repeating it, as clap would: a password may stand there.
fn parse(flag: &str, text: &str) -> Result<Named, Failure> {
    let directory = text.strip_prefix("sqlite:").filter(|path| !path.is_empty());
    let place = match directory {
        // Another way to write it is no other place.
        Some(path) => Place::Directory(std::path::absolute(path).unwrap_or_else(|_| path.into())),
        None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
            Place::Postgres(text.to_owned())
        }
        None => {
            let line = format!("{flag} is neither sqlite:DIR nor postgres://user@host/database");
            return Err(Failure::new(Failure::USAGE, line));
        }
    };
    let shown = match &place {
        Place::Directory(data) => format!("sqlite:{}", data.display()),
        Place::Postgres(url) => without_password(url),
    };
    Ok(Named { place, shown })
}

impl Copy {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (from, to) = (parse("--from", &self.from)?, parse("--to", &self.to)?);
        if from.place == to.place {
            let line = "--from and --to are the same database";
            return Err(Failure::new(Failure::USAGE, line));
        }
        let mut locks = Vec::new();
        if let Place::Directory(data) = &from.place {
            locks.push(DirectoryLock::take(existing(data).map_err(of_places)?)?);
        }
        if let Place::Directory(data) = &to.place {
            locks.push(DirectoryLock::take(data)?);
        }
        let bar = Bar::new();
        let copied = rt::System::new().block_on(copy(&from, &to, &bar));
        bar.clear();
        let copied = copied?;
        drop(locks);
        self.say(&copied, &from, &to)
    }

    fn say(&self, copied: &[Copied], from: &Named, to: &Named) -> Result<(), Failure> {
        let mut lines = Lines::new();
        let rows: u64 = copied.iter().map(|one| one.rows).sum();
        if self.json {
            let tables = copied
                .iter()
                .map(|one| (one.table.to_owned(), json!(one.rows)));
            let tables: Map<_, _> = tables.collect();
            lines.say(json!({"rows": rows, "tables": tables}));
            return lines.finish();
        }
        for one in copied.iter().filter(|one| one.rows > 0) {
            lines.say(format_args!(
                "{:12} {:>14}",
                one.table,
                HumanCount(one.rows).to_string()
            ));
        }
        lines.say(format_args!(
            "copied {}, as many as {} has",
            count(rows, "row"),
            from.shown
        ));
        if matches!(to.place, Place::Postgres(_)) {
            lines.say("now write its URL into the configuration as store, and start the server");
        }
        lines.finish()
    }
}

async fn copy(from: &Named, to: &Named, bar: &Bar) -> Result<Vec<Copied>, Failure> {
    let failed = |shown: &str| {
        let shown = shown.to_owned();
        move |error: StoreError| Failure::new(code(&error), format!("{shown}: {error}"))
    };
    let there = Store::schema(&from.place).await;
    if there.map_err(failed(&from.shown))?.is_none() {
        let line = format!("{}: no database of cupel's is there", from.shown);
        return Err(Failure::new(Failure::NO_INPUT, line));
    }
    let store = Store::open(&from.place, Clock.now()).await;
    let store = store.map_err(failed(&from.shown))?;
    let mut see = |so_far| bar.tell(so_far);
    let copied = store::copy(&store, &to.place, &from.shown, &mut see).await;
    store.close().await;
    let copied = copied.map_err(failed(&format!("{} to {}", from.shown, to.shown)))?;
    if let Place::Directory(data) = &from.place
        && let Ok(ring) = KeyRing::open(&data.join("keys"), false)
    {
        // Whoever comes first would take it for its own.
        let claimed = claim(&to.place, &ring, Clock.now()).await;
        claimed.map_err(|error| Failure::new(Failure::UNAVAILABLE, error))?;
    }
    Ok(copied)
}

/// A directory is named by another flag here.
fn of_places(failure: Failure) -> Failure {
    let line = failure.line.replace("--data", "--from sqlite:DIR");
    Failure::new(failure.code, line)
}

fn code(error: &StoreError) -> u8 {
    match error {
        StoreError::Unavailable(_) => Failure::UNAVAILABLE,
        StoreError::NotEmpty { .. } => Failure::CANNOT_CREATE,
        StoreError::Differs { .. } => Failure::DATA,
        _ => Failure::CONFIGURATION,
    }
}

/// How far it is, where somebody sees it.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        // Nothing is drawn but on a terminal.
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let form = "{msg:12} {bar:30} {human_pos}/{human_len} rows  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn tell(&self, so_far: Copied) {
        if self.0.message() != so_far.table {
            self.0.set_message(so_far.table);
            self.0.reset();
            self.0.set_length(so_far.of);
        }
        self.0.set_position(so_far.rows);
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
