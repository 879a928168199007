//! Builds and owns every part: the only place that spawns, and the order of start and stop.
//!
//! Start: directory and lock, keys, journal, local copy of the catalogue, tables, store (if it
//! can be opened), listeners. Stop: no new connections, requests finished, journal synced,
//! settled what is there, store closed. `replay.rs` settles without serving, `alone.rs` serves a
//! command.

mod ahead;
mod alone;
mod background;
mod directory;
mod replay;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_server::Server;
use actix_web::{App as Routes, HttpServer, rt, web as actix};
use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::campaign::TenantId;
use crate::journal::Journal;
use crate::judge::{Agents, RuleSet};
use crate::network::{AsnTable, NetworkLists, Networks};
use crate::resolve::Catalogue;
use crate::settle::{SettleOptions, Settler};
use crate::shutdown::Stop;
use crate::store::Scope;
use crate::web::{self, LocalSocket, NewKey, Pages, Parts};

use background::{
    AskWhenDropped, JournalThreads, housekeeping, last_settle, open_store, settle_loop,
    stop_on_signal,
};
use directory::{control_socket, remove_socket};

pub use ahead::{in_order, stop_when_interrupted};
pub use alone::Alone;
pub use directory::{DirectoryError, DirectoryLock, is_used, open_key_ring, write_key_file};
pub use replay::{Outlook, Replayed, replay};

/// What running requests may take when the server stops.
const LAST_REQUESTS_SECONDS_MAX: u64 = 5;
/// How long an idle connection stays open.
const KEEP_ALIVE: KeepAlive = KeepAlive::Timeout(Duration::from_secs(5));

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
    listeners: Option<Listeners>,
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
        listeners: impl Into<Option<Listeners>>,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let listeners = listeners.into();
        let data = config.data.clone();
        let key_ring = open_key_ring(&data)?;
        let journal = Journal::open_or_wait(&data.join("journal"), config.journal.clone())?;
        let catalogue_file = data.join("catalogue");
        let catalogue = Catalogue::open(&catalogue_file)
            .with_context(|| format!("catalogue {}", catalogue_file.display()))?;
        catalogue.set_keys(key_ring.derive(&[TenantId::FIRST]));
        let rules = Arc::new(RuleSet::shipped()?);
        let options = settle_options(&config, &rules);
        let settler = Settler::new(Arc::clone(&journal), Arc::clone(&rules), &data, options)?;
        let listen = match &listeners {
            Some(bound) => bound.public.local_addr().context("public listener")?,
            None => config.listen,
        };
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
            edits: tokio::sync::Mutex::new(()),
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
            tracing::error!(%error, "app: no store yet; links come from the local copy");
        }
        Ok(app)
    }

    /// Addresses of the public and the control listener; without any, those that are configured.
    ///
    /// # Errors
    /// A socket has no address.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        let Some(bound) = &self.listeners else {
            return Ok((self.parts.config.listen, self.parts.config.control));
        };
        Ok((bound.public.local_addr()?, bound.control.local_addr()?))
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
        web::FrontFactory::new(self.parts.clone())
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
        if listeners.is_none() && socket.is_none() {
            anyhow::bail!("{} takes no control socket", data.display());
        }
        // A command that serves itself heeds signals as commands do.
        let signals = listeners
            .is_some()
            .then(|| rt::spawn(stop_on_signal(stop.clone())));
        let (public, control) = match listeners {
            Some(Listeners { public, control }) => (Some(public), Some(control)),
            None => (None, None),
        };
        let public = public.map(|public| serve_public(public, parts.clone()));
        let public = public.transpose()?;
        let control = serve_control(control, socket, parts.clone())?;
        let handles: Vec<_> = public
            .iter()
            .chain([&control])
            .map(Server::handle)
            .collect();
        let journal = JournalThreads::start(&parts.journal, &stop)?;
        let settling = settle_loop(parts.clone(), settler, data.clone(), stop.clone());
        // Each of these ends when it is stopped; one that ends by itself stops the others.
        let settling = rt::spawn(with_all(settling, stop.clone()));
        let public = public.map(|public| rt::spawn(with_all(public, stop.clone())));
        let control = rt::spawn(with_all(control, stop.clone()));
        let keeping = rt::spawn(housekeeping(parts.clone(), stop.clone()));
        stop.wait().await;
        for handle in handles {
            handle.stop(true).await;
        }
        let ended = match public {
            Some(public) => public.await,
            None => Ok(Ok(())),
        };
        let ended_too = control.await;
        keeping.await.context("housekeeping")?;
        let mut settled = settling.await.context("settling");
        // Its last sync may take long; signals are heard meanwhile.
        rt::task::spawn_blocking(move || journal.stop())
            .await
            .context("journal")?;
        if let Ok(settler) = &mut settled {
            last_settle(&parts, settler).await;
        }
        if let Some(signals) = signals {
            signals.abort();
        }
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

/// Runs a part; when it ends, by a panic too, everything is asked to.
async fn with_all<T>(part: impl Future<Output = T>, stop: Stop) -> T {
    let _asked = AskWhenDropped(stop);
    part.await
}

fn serve_public(listener: TcpListener, parts: actix::Data<Parts>) -> std::io::Result<Server> {
    let address = listener.local_addr()?;
    let workers = usize::from(parts.config.journal.rings);
    let service = move || {
        HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(Duration::from_secs(10))
            .client_disconnect_timeout(Duration::from_secs(2))
            .local_addr(address)
            .h1(web::FrontFactory::new(parts.clone()))
            .tcp()
    };
    let server = Server::build()
        .workers(workers)
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .disable_signals()
        .listen("public", listener, service)?;
    Ok(server.run())
}

fn serve_control(
    listener: Option<TcpListener>,
    socket: Option<UnixListener>,
    parts: actix::Data<Parts>,
) -> std::io::Result<Server> {
    let routes = move || Routes::new().configure(web::control(parts.clone()));
    let server = HttpServer::new(routes)
        .on_connect(|connection, data| {
            if connection.is::<rt::net::UnixStream>() {
                data.insert(LocalSocket);
            }
        })
        .workers(2)
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .disable_signals();
    let server = match listener {
        Some(listener) => server.listen(listener)?,
        None => server,
    };
    let server = match socket {
        Some(socket) => server.listen_uds(socket)?,
        None => server,
    };
    Ok(server.run())
}

fn settle_options(config: &Config, rules: &RuleSet) -> SettleOptions {
    let window = Duration::from_secs(u64::from(rules.window_seconds()));
    SettleOptions {
        window: config.window.unwrap_or(window),
        records_max: config.settle_records_max,
    }
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
