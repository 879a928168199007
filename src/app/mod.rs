//! Builds and owns every part: the only place that spawns, and the order of start and stop.
//!
//! Start: directory and lock, keys, journal, local copy of the catalogue, tables, store (if it
//! can be opened), listeners. Stop: no new connections, requests finished, journal synced,
//! settled what is there, store closed. `replay.rs` settles without serving, `alone.rs` serves a
//! command.

mod ahead;
mod alone;
mod aside;
mod background;
mod certified;
mod directory;
mod follow;
mod housekeeping;
mod live_ruleset;
mod rejudge;
mod replay;
mod supervisor;
mod watched;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_server::{Server, ServerHandle};
use actix_web::{rt, web as actix};
use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::campaign::TenantId;
use crate::domain::hit::Scheme;
use crate::domain::seal::Seal;
use crate::journal::Journal;
use crate::judge::{Agents, RuleSet};
use crate::listen::{Listener, Listeners, serve_control, serve_public};
use crate::network::{AsnTable, NetworkLists, Networks};
use crate::resolve::{Catalogue, KeyRing};
use crate::settle::{SettleOptions, Settler};
use crate::shutdown::Stop;
use crate::store::Scope;
use crate::web::{self, LastReload, NewKey, Pages, Parts};

use background::{JournalThreads, LAST_SETTLE_MAX, last_settle, open_store_at_start, settle_loop};
use directory::{COMMAND_SOCKET, CONTROL_SOCKET, check_store, control_socket, remove_socket};

use certified::Certified;
use housekeeping::Keeping;
use live_ruleset::LiveCopy;
use supervisor::Supervisor;
use watched::with_all;

pub use ahead::{in_order, stop_when_interrupted};
pub use alone::Alone;
pub use background::place;
pub use directory::{DirectoryError, DirectoryLock, is_used, open_key_ring, write_key_file};
pub use replay::{Outlook, Replayed, replay};
pub use supervisor::outlive_signals;

/// How long connections that were taken last have to ask.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// What a slow disk may add to a stop: draining and syncing the journal, closing the database.
const LAST_SYNC_MAX: Duration = Duration::from_secs(30);

/// The application, built and not yet serving.
#[derive(Debug)]
pub struct App {
    parts: actix::Data<Parts>,
    settler: (Settler, LiveCopy),
    listeners: Listeners,
    certificates: Certified,
    data: PathBuf,
    _lock: DirectoryLock,
}

impl App {
    /// Builds every part. A store that cannot be opened is no reason not to start: links come
    /// from the local copy, and hits wait in the journal. Without listeners there is the control
    /// socket alone.
    ///
    /// # Errors
    /// Keys, journal or tables cannot be used.
    pub async fn build(
        config: Config,
        lock: DirectoryLock,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        check_store(&config)?;
        let data = config.data.clone();
        let key_ring = open_key_ring(&data)?;
        let journal = Journal::open_or_wait(&data.join("journal"), config.journal.clone())?;
        let catalogue_file = data.join("catalogue");
        let catalogue = Catalogue::open(&catalogue_file)
            .with_context(|| format!("catalogue {}", catalogue_file.display()))?;
        catalogue.set_keys(key_ring.derive(&[TenantId::FIRST]));
        let shipped_rules = Arc::new(RuleSet::shipped()?);
        let (live_copy, rules) = LiveCopy::read(&data, &shipped_rules);
        let options = settle_options(&config, rules.live());
        let seal = seal(&config, &key_ring);
        let settler = Settler::new(
            Arc::clone(&journal),
            Arc::clone(rules.live()),
            &data,
            seal,
            options,
        )?;
        let acme = Arc::default();
        let certificates = match listeners.is_empty() {
            // Nobody could ask for them.
            true => Certified::default(),
            false => Certified::read(&config, &acme, !listeners.public.is_empty())?,
        };
        let base_url = base_url(&config, &listeners);
        let parts = Parts {
            base_url,
            clock: Clock,
            journal,
            catalogue,
            id_key: key_ring.id_key(),
            key_ring: Mutex::new(key_ring),
            edits: tokio::sync::Mutex::new(()),
            networks: networks(config.network_table.as_deref())?,
            agents: Agents::shipped()?,
            rules: ArcSwap::from_pointee(rules),
            shipped_rules,
            store: ArcSwapOption::empty(),
            acme,
            certificates: ArcSwap::default(),
            probe: web::Probe::default(),
            started_at: Clock.now(),
            reloading: Arc::default(),
            last_reload: Mutex::new(LastReload::at_start(&config, Clock.now())),
            pages: ArcSwap::from_pointee(Pages::new(&config.live)?),
            live: Arc::new(ArcSwap::from_pointee(config.live.clone())),
            counters: web::Counters::default(),
            settling: web::Settling::default(),
            stopping: AtomicBool::new(false),
            metrics,
            config,
        };
        web::export_reload(parts.clock.now(), true);
        let app = Self {
            parts: actix::Data::new(parts),
            settler: (settler, live_copy),
            listeners,
            certificates,
            data,
            _lock: lock,
        };
        app.parts.settling.current(app.parts.started_at);
        open_store_at_start(&app.parts).await?;
        Ok(app)
    }

    /// The sockets that it serves on.
    #[must_use]
    pub const fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// What tracked links begin with.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.parts.base_url
    }

    /// What answers the public listener's requests: for listeners of another kind, and to be
    /// measured without any.
    #[must_use]
    pub fn public_service(&self) -> web::FrontFactory {
        web::FrontFactory::new(self.parts.clone(), Scheme::Http)
    }

    /// The same answers from an actix-web App, for listeners that bring one; each of its workers
    /// takes a ring of the journal.
    pub fn public_routes(&self) -> impl Fn(&mut actix::ServiceConfig) + Clone + use<> {
        web::public(self.parts.clone())
    }

    /// The journal; it moves only while its drainer and syncer run.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.parts.journal
    }

    /// Makes the API key of a first start, if none was ever made. `hand_over` has it before it is
    /// of use: one that its owner never saw would stand in the way of another for ever. What
    /// `hand_over` gave.
    ///
    /// # Errors
    /// The key cannot be handed over, or the store does not take it; the next start makes another.
    pub async fn first_key<T>(
        &self,
        hand_over: impl FnOnce(&NewKey) -> std::io::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let Some(store) = self.parts.store.load_full() else {
            return Ok(None);
        };
        if store.api_keys_count().await? > 0 {
            return Ok(None);
        }
        let key = NewKey::random()?;
        let handed_over = hand_over(&key).context("admin.key")?;
        let now = self.parts.clock.now();
        store
            .create_api_key("first start", Scope::Admin, &key.hash(), now)
            .await?;
        Ok(Some(handed_over))
    }

    /// Serves until told to stop, then stops in order; `serving` is called once it does, and heeds
    /// signals.
    ///
    /// # Errors
    /// A listener cannot be used, or a part ended by itself; all the others have stopped in order.
    pub async fn serve(self, stop: Stop, serving: impl FnOnce() + 'static) -> anyhow::Result<()> {
        let Self {
            parts,
            settler,
            listeners,
            certificates,
            data,
            _lock,
        } = self;
        let Listeners {
            public,
            mut control,
        } = listeners;
        // A command that serves itself heeds signals as commands do.
        let signals = !public.is_empty() || !control.is_empty();
        let local = add_control_socket(&mut control, &data, signals)?;
        let supervisor = Supervisor::named();
        let begins = supervisor.on_worker(&stop);
        let closing = Stop::default();
        let supervising = supervisor.start(signals, stop_max(&parts.config), &stop);
        let supervising = supervising.await?;
        let public = serve_public(
            public,
            &parts,
            certificates.public.as_ref(),
            begins,
            &closing,
        )?;
        let control = serve_control(control, &local, &parts, certificates.control.as_ref())?;
        let readers = public.as_ref().map(Server::handle);
        let handles: Vec<_> = public
            .iter()
            .chain([&control])
            .map(Server::handle)
            .collect();
        let journal = JournalThreads::start(&parts.journal, &stop)?;
        let settling = settle_loop(parts.clone(), settler, stop.clone());
        // Each of these ends when it is stopped; one that ends by itself stops the others.
        let settling = rt::spawn(with_all(settling, stop.clone()));
        let public = public.map(|public| rt::spawn(with_all(public, stop.clone())));
        let control = rt::spawn(with_all(control, stop.clone()));
        let keeping = Keeping::start(&parts, certificates, &stop);
        // Tasks are polled in the order in which they were made: workers and signals come first.
        rt::spawn(async {
            supervisor::serving();
            serving();
        });
        stop.wait().await;
        stop_accepting(&parts, readers).await;
        // Before the workers: a connection to a database server ends with the worker that made it.
        let mut settled = settling.await.context("settling");
        let kept = keeping.end().await;
        stop_workers(handles, &closing).await;
        let ended = match public {
            Some(public) => public.await,
            None => Ok(Ok(())),
        };
        let ended_too = control.await;
        let written = journal.stop();
        if let Ok(settler) = &mut settled {
            last_settle(&parts, settler).await;
        }
        if let Some(store) = parts.store.swap(None) {
            store.close().await;
        }
        remove_socket(&local);
        supervising.stop()?;
        // Only now: whichever part failed, nothing that was answered is lost by it.
        written?;
        settled?;
        kept?;
        ended.context("public listener")??;
        ended_too.context("control listener")??;
        Ok(())
    }
}

/// Adds the socket for commands on this machine, and returns its file: that of a server, or of a
/// command that serves itself.
fn add_control_socket(
    to: &mut Vec<Listener>,
    data: &Path,
    server: bool,
) -> anyhow::Result<PathBuf> {
    let local = data.join(match server {
        true => CONTROL_SOCKET,
        false => COMMAND_SOCKET,
    });
    to.extend(control_socket(&local));
    if to.is_empty() {
        anyhow::bail!("{} takes no control socket", data.display());
    }
    Ok(local)
}

/// What links begin with where nobody said: the first address that readers are listened to on.
fn base_url(config: &Config, listeners: &Listeners) -> String {
    let named = config.base_url.clone();
    let asked = config.acme.as_ref().and_then(|acme| acme.hosts.first());
    let first = listeners.public.first();
    let written = config.listen.first().map(|address| {
        let secure = config.tls.is_some() && !address.plain;
        let scheme = if secure { "https" } else { "http" };
        format!("{scheme}://{}", address.place)
    });
    named
        .or_else(|| asked.map(|host| format!("https://{host}")))
        .or_else(|| first.map(ToString::to_string))
        .or(written)
        .unwrap_or_default()
}

/// Says that the server stops, for as long as a load balancer needs to look elsewhere; then takes
/// no more connections, and hears out those that were taken.
async fn stop_accepting(parts: &Parts, readers: Option<ServerHandle>) {
    parts.stopping.store(true, Ordering::Relaxed);
    if let Some(readers) = readers {
        rt::time::sleep(parts.config.http.drain).await;
        readers.pause().await;
        rt::time::sleep(LAST_WORDS).await;
    }
}

/// The workers drop what still waits for them when they are told to stop, and close what has not
/// asked yet.
async fn stop_workers(all: Vec<ServerHandle>, closing: &Stop) {
    closing.ask();
    // Told at once, so that `http.stop_seconds_max` is over for both at the same time.
    let stopping: Vec<_> = all.iter().map(|handle| handle.stop(true)).collect();
    for stopped in stopping {
        stopped.await;
    }
}

/// The longest that stopping takes, with something to spare for slow disks.
fn stop_max(config: &Config) -> Duration {
    // A round that hangs, and the last ones, each have so long.
    let settling = LAST_SETTLE_MAX * 2;
    config.http.drain + LAST_WORDS + config.http.stop + settling + LAST_SYNC_MAX
}

fn settle_options(config: &Config, rules: &RuleSet) -> SettleOptions {
    let window = Duration::from_secs(u64::from(rules.window_seconds()));
    SettleOptions {
        window: config.window.unwrap_or(window),
        records_max: config.settle_records_max,
        window_hits_max: config.settle_window_hits_max,
        settles: config.role.settles(),
        waited_for: config.role.answers(),
    }
}

/// For what this node leaves in a database that several share.
fn seal(config: &Config, key_ring: &KeyRing) -> Option<Seal> {
    config.store.as_ref().and_then(|_| key_ring.seal())
}

fn networks(table: Option<&Path>) -> anyhow::Result<Networks> {
    let lists = NetworkLists::shipped()?;
    let Some(table) = table else {
        return Ok(Networks::new(AsnTable::shipped()?, lists));
    };
    let (networks, refused) = Networks::open(table, lists)?;
    if let Some(error) = refused {
        // Readers come first: a broken table costs judgement, not redirects.
        tracing::error!(%error, "app: using the shipped ASN table instead");
    }
    Ok(networks)
}
