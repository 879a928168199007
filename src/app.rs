//! Builds and owns every part: the only place that spawns, and the order of start and stop.
//!
//! Start: directory and lock, keys, journal, local copy of the catalogue, tables, store (if it
//! can be opened), listeners. Stop: no new connections, requests finished, journal synced,
//! settled what is there, store closed.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App as Routes, HttpServer, rt, web as actix};
use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::campaign::TenantId;
use crate::domain::time::Micros;
use crate::journal::Journal;
use crate::judge::{Agents, RuleSet};
use crate::network::{AsnTable, FileStamp, NetworkLists, Networks};
use crate::resolve::{Catalogue, KeyRing};
use crate::settle::{SettleOptions, Settler};
use crate::shutdown::Stop;
use crate::store::{Scope, Store, StoreError};
use crate::web::{self, LocalSocket, NewKey, Pages, Parts};

/// How often new hits are looked for.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
/// How long to wait before a store that failed is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How often files that may change are looked at, and old segments deleted.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(5);
/// What settling may take when the server stops; the rest waits in the journal.
const LAST_SETTLE_MAX: Duration = Duration::from_secs(5);
/// What running requests may take when the server stops.
const LAST_REQUESTS_SECONDS_MAX: u64 = 5;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or written.
    #[error("data directory {path}: {source}; choose another with --data")]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("data directory {path} is in use by another cupel; stop that one first")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

/// Proof that this process alone uses a data directory, for as long as it is kept.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if it is missing, and takes it.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub fn take(data: &Path) -> Result<Self, DirectoryError> {
        let unwritable = |source| DirectoryError::Unwritable {
            path: data.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(unwritable)?;
        // Addresses of readers and the keys lie in it, whoever made it.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(data, private).map_err(unwritable)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(data.join("lock"))
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(DirectoryError::InUse {
                path: data.to_owned(),
            }),
            Err(fs::TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }
}

/// Sockets to serve on; the caller binds them.
#[derive(Debug)]
pub struct Listeners {
    /// For readers.
    pub public: TcpListener,
    /// For API, metrics and health.
    pub control: TcpListener,
}

/// The application, built and not yet serving.
#[derive(Debug)]
pub struct App {
    parts: actix::Data<Parts>,
    settler: Settler,
    listeners: Listeners,
    data: PathBuf,
    _lock: DirectoryLock,
}

impl App {
    /// Builds every part. A store that cannot be opened is no reason not to start: links come
    /// from the local copy, and hits wait in the journal.
    ///
    /// # Errors
    /// Keys, journal or tables cannot be used.
    pub async fn build(
        config: Config,
        lock: DirectoryLock,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let data = config.data.clone();
        let keys = data.join("keys");
        let used = ["store-created", "catalogue", "journal/edge"];
        let fresh = !used.iter().any(|trace| data.join(trace).exists());
        let key_ring = KeyRing::open(&keys, fresh)?;
        let journal = Journal::open(&data.join("journal"), config.journal.clone())?;
        let catalogue_file = data.join("catalogue");
        let catalogue = Catalogue::open(&catalogue_file)
            .with_context(|| format!("catalogue {}", catalogue_file.display()))?;
        catalogue.set_keys(key_ring.derive(&[TenantId::FIRST]));
        let rules = Arc::new(RuleSet::shipped()?);
        let window = config.window;
        let window =
            window.unwrap_or_else(|| Duration::from_secs(u64::from(rules.window_seconds())));
        let options = SettleOptions {
            window,
            records_max: config.settle_records_max,
        };
        let settler = Settler::new(Arc::clone(&journal), Arc::clone(&rules), &data, options)?;
        let listen = listeners.public.local_addr().context("public listener")?;
        let base_url = config
            .base_url
            .clone()
            .unwrap_or_else(|| format!("http://{listen}"));
        let parts = Parts {
            base_url,
            clock: Clock,
            journal,
            catalogue,
            id_key: key_ring.id_key(),
            key_ring: Mutex::new(key_ring),
            networks: networks(config.network_table.as_deref())?,
            agents: Agents::shipped()?,
            ruleset: rules.id(),
            rules,
            earlier_rules: ArcSwap::default(),
            store: ArcSwapOption::empty(),
            pages: Pages::new(config.face.clone())?,
            counters: web::Counters::default(),
            metrics,
            config,
        };
        let app = Self {
            parts: actix::Data::new(parts),
            settler,
            listeners,
            data,
            _lock: lock,
        };
        if let Err(error) = open_store(&app.parts, &app.data).await {
            tracing::error!(%error, "app: starting without the store; links come from the local copy");
        }
        Ok(app)
    }

    /// Addresses of the public and the control listener.
    ///
    /// # Errors
    /// A socket has no address.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((
            self.listeners.public.local_addr()?,
            self.listeners.control.local_addr()?,
        ))
    }

    /// What tracked links begin with.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.parts.base_url
    }

    /// The API key of a first start, if none was ever made.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn first_key(&self) -> anyhow::Result<Option<NewKey>> {
        let Some(store) = self.parts.store.load_full() else {
            return Ok(None);
        };
        if store.api_keys_count().await? > 0 {
            return Ok(None);
        }
        let key = NewKey::random()?;
        let now = self.parts.clock.now();
        store
            .create_api_key("first start", Scope::Admin, &key.hash(), now)
            .await?;
        Ok(Some(key))
    }

    /// Serves until told to stop, then stops in order.
    ///
    /// # Errors
    /// A listener cannot be used, or a part ended by itself.
    pub async fn serve(self, stop: Stop) -> anyhow::Result<()> {
        let Self {
            parts,
            settler,
            listeners,
            data,
            _lock,
        } = self;
        let socket = control_socket(&data);
        let public = serve_public(listeners.public, parts.clone())?;
        let control = serve_control(listeners.control, socket, parts.clone())?;
        let handles = [public.handle(), control.handle()];
        let syncer = spawn_syncer(&parts.journal)?;
        let settling = rt::spawn(settle_loop(
            parts.clone(),
            settler,
            data.clone(),
            stop.clone(),
        ));
        let keeping = rt::spawn(housekeeping(parts.clone(), stop.clone()));
        let stopping = rt::spawn(stop_servers(handles, stop.clone()));
        let (public, control) = (rt::spawn(public), rt::spawn(control));
        // Settling ends when it is stopped, and only then: without it the journal only grows.
        let settled = settling.await.context("settling");
        stop.ask();
        let ended = public.await;
        let ended_too = control.await;
        stopping.await.context("stopping the listeners")?;
        keeping.await.context("housekeeping")?;
        syncer.stop();
        if let Some(store) = parts.store.swap(None) {
            store.close().await;
        }
        remove_socket(&data);
        settled?;
        ended.context("public listener")??;
        ended_too.context("control listener")??;
        Ok(())
    }
}

async fn stop_servers(handles: [ServerHandle; 2], stop: Stop) {
    stop.wait().await;
    for handle in handles {
        handle.stop(true).await;
    }
}

fn serve_public(
    listener: TcpListener,
    parts: actix::Data<Parts>,
) -> std::io::Result<actix_web::dev::Server> {
    let routes = move || Routes::new().configure(web::public(parts.clone()));
    let server = HttpServer::new(routes)
        .client_request_timeout(Duration::from_secs(10))
        .client_disconnect_timeout(Duration::from_secs(2))
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn serve_control(
    listener: TcpListener,
    socket: Option<UnixListener>,
    parts: actix::Data<Parts>,
) -> std::io::Result<actix_web::dev::Server> {
    let routes = move || Routes::new().configure(web::control(parts.clone()));
    let server = HttpServer::new(routes)
        .on_connect(|connection, data| {
            if connection.is::<rt::net::UnixStream>() {
                data.insert(LocalSocket);
            }
        })
        .workers(2)
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .disable_signals()
        .listen(listener)?;
    let server = match socket {
        Some(socket) => server.listen_uds(socket)?,
        None => server,
    };
    Ok(server.run())
}

/// The socket through which commands on this machine reach the server without a key: who may
/// open it may read the data directory.
fn control_socket(data: &Path) -> Option<UnixListener> {
    let path = data.join("control.sock");
    remove_socket(data);
    let bound = UnixListener::bind(&path).and_then(|listener| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    bound
        .inspect_err(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "app: no control socket; commands need a key");
        })
        .ok()
}

fn remove_socket(data: &Path) {
    let path = data.join("control.sock");
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "app: cannot remove the control socket");
        }
    }
}

struct SyncerThread {
    stop: Stop,
    thread: std::thread::JoinHandle<()>,
}

impl SyncerThread {
    /// Syncs what is left and ends.
    fn stop(self) {
        self.stop.ask();
        if self.thread.join().is_err() {
            tracing::error!("app: the journal's syncer had died");
        }
    }
}

fn spawn_syncer(journal: &Arc<Journal>) -> std::io::Result<SyncerThread> {
    let stop = Stop::default();
    let asked = stop.clone();
    let syncer = journal.syncer();
    let thread = std::thread::Builder::new()
        .name("journal-sync".to_owned())
        .spawn(move || syncer.run(&|| asked.asked()))?;
    Ok(SyncerThread { stop, thread })
}

/// Settles, and opens the store again whenever it has gone.
async fn settle_loop(parts: actix::Data<Parts>, mut settler: Settler, data: PathBuf, stop: Stop) {
    let mut expire_after = parts.clock.now();
    while !stop.asked() {
        settler.turn_day_keys(parts.clock.now());
        let Some(store) = parts.store.load_full() else {
            wait(STORE_RETRY, &stop).await;
            match open_store(&parts, &data).await {
                Ok(()) => tracing::info!("app: the store is back"),
                Err(error) => tracing::warn!(%error, "app: the store is still away"),
            }
            continue;
        };
        let now = parts.clock.now();
        match settler.round(&store, now).await {
            Ok(progress) if progress.more => {}
            Ok(progress) => {
                if now >= expire_after {
                    expire_after = now.plus(60_000_000);
                    expire(&parts, progress.position, now);
                }
                wait(SETTLE_EVERY, &stop).await;
            }
            Err(error) => {
                tracing::warn!(%error, "app: settling failed; hits wait in the journal");
                if store.check().await.is_err_and(|error| !is_busy(&error)) {
                    parts.store.store(None);
                    store.close().await;
                }
                wait(STORE_RETRY, &stop).await;
            }
        }
    }
    last_settle(&parts, &mut settler).await;
}

/// Settles what is there, for a while.
async fn last_settle(parts: &Parts, settler: &mut Settler) {
    let Some(store) = parts.store.load_full() else {
        return;
    };
    let rounds = async {
        while let Ok(progress) = settler.round(&store, parts.clock.now()).await {
            let caught_up = progress.position >= parts.journal.last();
            if caught_up && !progress.more {
                return;
            }
            rt::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if rt::time::timeout(LAST_SETTLE_MAX, rounds).await.is_err() {
        tracing::warn!("app: stopped before everything was settled; the rest is in the journal");
    }
}

fn expire(parts: &Parts, settled_to: u64, now: Micros) {
    if let Err(error) = parts.journal.expire(settled_to, now) {
        tracing::warn!(%error, "app: old segments could not be deleted");
    }
}

/// A locked database comes back by itself; its connections stay.
fn is_busy(error: &StoreError) -> bool {
    let StoreError::Unavailable(error) = error else {
        return false;
    };
    match error {
        // SQLITE_BUSY and SQLITE_LOCKED, without their extensions.
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6)),
        sqlx::Error::PoolTimedOut => true,
        _ => false,
    }
}

async fn wait(time: Duration, stop: &Stop) {
    let over = rt::time::timeout(time, stop.wait()).await;
    tracing::trace!(stopped = over.is_ok(), "app: waited");
}

/// Opens the store and takes over what it knows.
async fn open_store(parts: &Parts, data: &Path) -> Result<(), StoreError> {
    let now = parts.clock.now();
    let store = Store::open(data, now).await?;
    let rules = &parts.rules;
    store
        .keep_ruleset(
            parts.ruleset,
            rules.name(),
            rules.version(),
            rules.text(),
            now,
        )
        .await?;
    let mut earlier = HashMap::new();
    for (id, text) in store.rulesets().await? {
        match RuleSet::parse(&text) {
            Ok(rules) => {
                earlier.insert(id, Arc::new(rules));
            }
            Err(error) => tracing::warn!(id = id.0, %error, "app: a rule set cannot be read"),
        }
    }
    parts.earlier_rules.store(Arc::new(earlier));
    let changes = web::stored_catalogue(&store).await?;
    let extra = parts.catalogue.missing_in(&changes);
    if !extra.is_empty() {
        let entries = extra.len();
        tracing::warn!(
            entries,
            "app: giving the store what it has lost of links already mailed"
        );
        web::adopt(&store, &extra, now).await?;
    }
    if let Err(error) = parts.catalogue.take_over(changes) {
        tracing::error!(%error, "app: the catalogue's local copy could not be written");
    }
    let (_, position) = store.edge(parts.journal.edge(), now).await?;
    parts.journal.skip_to(position.sequence);
    parts.store.store(Some(Arc::new(store)));
    Ok(())
}

fn networks(table: Option<&Path>) -> anyhow::Result<Networks> {
    let lists = NetworkLists::shipped()?;
    let named = table
        .map(AsnTable::open)
        .transpose()
        .unwrap_or_else(|error| {
            // Readers come first: a broken table costs judgement, not redirects.
            tracing::error!(%error, "app: using the shipped ASN table instead");
            None
        });
    let table = match named {
        Some(table) => table,
        None => AsnTable::shipped()?,
    };
    Ok(Networks::new(table, lists))
}

/// Takes over an ASN table whose file has changed.
async fn housekeeping(parts: actix::Data<Parts>, stop: Stop) {
    let Some(table) = parts.config.network_table.clone() else {
        return;
    };
    let mut stamp = FileStamp::default();
    while !stop.asked() {
        match parts.networks.reload_if_changed(&table, &mut stamp) {
            Ok(true) => tracing::info!(table = %table.display(), "app: took over a new ASN table"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "app: kept the old ASN table"),
        }
        wait(HOUSEKEEPING_EVERY, &stop).await;
    }
}

/// Writes a key to a file that only its owner may read, and returns its path.
///
/// # Errors
/// The file cannot be written.
pub fn write_key_file(data: &Path, key: &NewKey) -> std::io::Result<PathBuf> {
    let path = data.join("admin.key");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{}", key.text())?;
    file.sync_all()?;
    Ok(path)
}
