//! What settling costs, into either store: hits are made and kept in a journal as a server keeps
//! them, then settled with judging, sums and uniques. Beside it, into PostgreSQL, the same rows by
//! statements of many rows. `bench/settle` runs it beside a database of its own.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench that is surprised should fail there and then"
)]

mod again;
mod asked;
mod beside;
mod cost;
mod made;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use cupel::domain::seal::Seal;
use cupel::domain::time::Micros;
use cupel::journal::{Journal, JournalOptions, Keeper, Source};
use cupel::judge::RuleSet;
use cupel::settle::{SettleOptions, Settler};
use cupel::store::{Place, Store};

use cost::Cost;
use made::{Maker, Shape};
use sqlx::{Connection as _, PgConnection};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hits between two bodies of delivery events.
const DELIVERED_EVERY: u64 = 1_000;

/// Hits that are written beside, for comparison.
const BESIDE_MAX: usize = 200_000;

#[derive(Debug, Parser)]
struct Options {
    /// postgres://…, a database that is empty; a file otherwise
    #[arg(long)]
    store: Option<String>,
    /// Hits that are settled
    #[arg(long, default_value_t = 1_000_000)]
    hits: u64,
    /// Campaigns that they are of
    #[arg(long, default_value_t = 20)]
    campaigns: u32,
    /// Messages of a campaign
    #[arg(long, default_value_t = 20_000)]
    messages: u32,
    /// Days that they come in
    #[arg(long, default_value_t = 14)]
    days: u32,
    /// Hits that are in the journal at a time
    #[arg(long, default_value_t = 500_000)]
    batch: u64,
    /// Records of a transaction
    #[arg(long, default_value_t = 10_000)]
    records: u32,
    /// Campaigns whose events are added up and compared with their statistics, 2 at most
    #[arg(long, default_value_t = 2)]
    checked: usize,
    /// Ship everything to a second settler, through the inbox
    #[arg(long, requires = "store")]
    shipped: bool,
    /// Rule sets that are counted beside what is in force
    #[arg(long, default_value_t = 0, conflicts_with = "shipped")]
    shadows: u32,
    /// Where journal and file go
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run(&options))
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let own = tempfile::tempdir_in(parent)?;
    let place = match &options.store {
        Some(url) => Place::Postgres(url.clone()),
        None => Place::Directory(own.path().to_owned()),
    };
    let mut maker = Maker::new(Shape {
        campaigns: options.campaigns,
        messages: options.messages,
        days: options.days,
        hits: options.hits,
    })?;
    let journal_options = JournalOptions {
        segment_bytes_max: 64 << 20,
        ..JournalOptions::default()
    };
    let journal = Journal::open(&own.path().join("journal"), journal_options)?;
    let store = Store::open(&place, Micros::new(made::BEGIN)).await?;
    asked::register(&store, options.campaigns, made::LINKS).await?;
    let rules = Arc::new(maker.rules().clone());
    let mut settlers = settlers(options, own.path(), &journal, &rules)?;
    if options.shadows > 0 {
        again::in_shadow(&store, &mut settlers[0], options.shadows).await?;
    }
    let moving = Moving::start(&journal);
    let mut keeper = journal.keeper().unwrap();
    let (mut cost, mut wall, mut done) = (Cost::default(), Duration::ZERO, 0);
    let mut revised = 0;
    while done < options.hits {
        let count = options.batch.min(options.hits - done);
        let last = keep(&journal, &mut keeper, &mut maker, count).await?;
        store.look_ahead(last).await?;
        let (began, before) = (Instant::now(), Cost::now(options.store.is_some()));
        for settler in &mut settlers {
            revised += settle(settler, &store, last).await?;
        }
        cost.add(Cost::now(options.store.is_some()).since(before));
        wall += began.elapsed();
        done += count;
        journal.expire(journal.synced_to(), last.plus(30 * 86_400_000_000))?;
        eprintln!("{done} hits, {:.0}/s", done as f64 / wall.as_secs_f64());
    }
    report("settled", done, wall.as_secs_f64(), cost);
    println!(
        "judgements that changed: {:.2} a hit",
        revised as f64 / done as f64
    );
    println!("bytes a hit: {}", store.bytes().await? / done);
    let settler = settlers.last_mut().unwrap();
    again::rejudge(&store, settler, done, options.store.is_some()).await?;
    moving.end();
    asked::fast_set(&store, options.campaigns).await?;
    for id in [1, options.campaigns / 2].into_iter().take(options.checked) {
        let events = asked::check(&store, id).await?;
        println!("campaign {id}: {events} events, sums and uniques are exact");
    }
    if let Some(url) = &options.store {
        let count = usize::try_from(done).unwrap().min(BESIDE_MAX);
        let mut on = PgConnection::connect(url).await?;
        let (seconds, cost) = beside::insert(&mut on, &mut maker, count).await?;
        report("rows alone, INSERT", count as u64, seconds, cost);
    }
    Ok(())
}

fn report(what: &str, hits: u64, seconds: f64, cost: Cost) {
    let each = |seconds: f64| seconds * 1e6 / hits as f64;
    println!(
        "{what}: {hits} hits, {:.0}/s; CPU-µs a hit: {:.2} own, {:.2} of the server; {:.0} \
         hits/s/core",
        hits as f64 / seconds,
        each(cost.own),
        each(cost.server),
        hits as f64 / cost.all(),
    );
}

/// The journal's threads, as a server has them.
struct Moving {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Moving {
    fn start(journal: &Arc<Journal>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (drainer, syncer) = (journal.drainer(), journal.syncer());
        let (one, other) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            std::thread::spawn(move || drainer.run(&|| one.load(Ordering::Relaxed))),
            std::thread::spawn(move || syncer.run(&|| other.load(Ordering::Relaxed))),
        ];
        Self { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Whoever settles the journal; or ships it, and a second one that settles what is shipped.
fn settlers(
    options: &Options,
    own: &Path,
    journal: &Arc<Journal>,
    rules: &Arc<RuleSet>,
) -> anyhow::Result<Vec<Settler>> {
    let seal = options.store.as_ref().and_then(|_| Seal::new(&[7; 32]));
    let settler = |journal: &Arc<Journal>, settles| {
        let settle_options = SettleOptions {
            records_max: options.records,
            settles,
            ..SettleOptions::default()
        };
        let (journal, rules) = (Arc::clone(journal), Arc::clone(rules));
        Settler::new(journal, rules, own, seal.clone(), settle_options)
    };
    let mut settlers = vec![settler(journal, !options.shipped)?];
    if options.shipped {
        let elsewhere = Journal::open(&own.join("elsewhere"), JournalOptions::default())?;
        settlers.push(settler(&elsewhere, true)?);
    }
    Ok(settlers)
}

/// Settles what is there, and closes all windows. Judgements that changed.
async fn settle(settler: &mut Settler, store: &Store, last: Micros) -> anyhow::Result<u64> {
    let now = last.plus(3_600_000_000);
    settler.turn_day_keys(now);
    let mut revised = 0;
    loop {
        let progress = settler.round(store, now).await?;
        revised += progress.revised;
        if !progress.more {
            return Ok(revised);
        }
    }
}

/// Keeps so many hits, and waits until the journal has them on the disk. The time of the last.
async fn keep(
    journal: &Arc<Journal>,
    keeper: &mut Keeper,
    maker: &mut Maker,
    count: u64,
) -> anyhow::Result<Micros> {
    let mut last = Micros::default();
    let before = journal.last();
    for n in 1..=count {
        let hit = maker.next();
        last = hit.at;
        let text = |_| Maker::text(hit.agent);
        while keeper.keep(&hit, &text).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if n % DELIVERED_EVERY == 0 {
            let accepted = std::mem::take(&mut maker.accepted);
            let room = journal.spool_room(2).unwrap();
            let received = room.spool(&Source::API, last, b"{}")?;
            journal.append_delivery(&received, &accepted).await?;
        }
    }
    while journal.last() < before + count || !journal.is_synced() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(last)
}
