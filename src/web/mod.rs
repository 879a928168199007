//! The two listeners: every route on one page.
//!
//! Handlers parse, call and shape; what they call knows no status codes. The public listener has
//! one handler for everything, so that nothing stands between a hit and its answer.

mod acme;
mod api;
mod asking;
mod auth;
mod challenge;
mod client;
mod counters;
mod error;
mod front;
mod health;
mod ids;
mod metrics;
mod nodes;
mod pages;
mod probe;
mod record;
mod redirect;
mod reload;
mod requests;
mod respond;
mod rulesets;
mod settling;
mod spooling;
mod unread;
mod worker;

use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use actix_web::middleware::from_fn;
use actix_web::web;
use arc_swap::{ArcSwap, ArcSwapOption};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::clock::Clock;
use crate::config::{Config, Live};
use crate::domain::hit::Scheme;
use crate::domain::judgement::RuleSetId;
use crate::domain::time::Micros;
use crate::journal::Journal;
use crate::judge::{Agents, RuleSet, RuleSets};
use crate::network::Networks;
use crate::resolve::{Catalogue, KeyRing};
use crate::store::{Changed, Store, StoreError};

pub use acme::AcmeAnswers;
pub use api::recipients_max;
pub use asking::{Asking, Running};
pub use auth::{LocalSocket, NewKey};
pub use counters::Counters;
pub use front::FrontFactory;
pub use nodes::{ShareError, check_owner, claim, exchange_ring, ring_differs};
pub use pages::Pages;
pub use probe::Probe;
pub use reload::{LastReload, ReloadTurn, Reloaded, export_reload};
pub use rulesets::{exchange_rulesets, known_rulesets, offer_rulesets, take_rulesets};
pub use settling::Settling;

use worker::Worker;

/// How the certificate of a listener is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CertificateState {
    /// `public` or `control`.
    pub listener: &'static str,
    /// Hosts that it is for; empty if there is none yet.
    pub names: Vec<String>,
    /// When it expires, seconds since 1970; 0 if there is none yet.
    pub expires: i64,
}

/// Parts of the application that routes use. Built by `app`.
#[derive(Debug)]
pub struct Parts {
    /// Checked configuration, as of the start.
    pub config: Config,
    /// What of it may change since.
    pub live: Arc<ArcSwap<Live>>,
    /// What tracked links begin with; no slash at the end.
    pub base_url: String,
    /// The clock.
    pub clock: Clock,
    /// The journal.
    pub journal: Arc<Journal>,
    /// Campaigns, links, short links and keys, in memory.
    pub catalogue: Catalogue,
    /// Held from a write to the store until it is in the catalogue: edits take force in the order
    /// in which they were made.
    pub edits: tokio::sync::Mutex<()>,
    /// The key ring on disk.
    pub key_ring: Mutex<KeyRing>,
    /// Key of the ids of agent strings and header sets.
    pub id_key: [u8; 16],
    /// Network tables.
    pub networks: Networks,
    /// Agent lists.
    pub agents: Agents,
    /// Rule sets, one of them live.
    pub rules: ArcSwap<RuleSets>,
    /// The rule set that came with this program.
    pub shipped_rules: Arc<RuleSet>,
    /// The store, while it is available.
    pub store: ArcSwapOption<Store>,
    /// When the process began to serve.
    pub started_at: Micros,
    /// Whose turn it is to read the configuration again.
    pub reloading: Arc<tokio::sync::Mutex<()>>,
    /// The configuration as it was last read.
    pub last_reload: Mutex<LastReload>,
    /// Certificates of listeners that speak TLS.
    pub certificates: ArcSwap<Vec<CertificateState>>,
    /// What `cupel doctor` has asked for.
    pub probe: Probe,
    /// Answers to an ACME authority.
    pub acme: Arc<AcmeAnswers>,
    /// Pages, ready to be rendered.
    pub pages: ArcSwap<Pages>,
    /// What happened, for metrics.
    pub counters: Counters,
    /// How far settling is.
    pub settling: Settling,
    /// Whether the server stops: it says so before it takes no more.
    pub stopping: AtomicBool,
    /// The process's metrics, where it exports them.
    pub metrics: Option<PrometheusHandle>,
}

/// Routes of the public listener without its front: for a listener that brings an App for each of
/// its workers, each of which takes a ring of the journal.
pub fn public(parts: web::Data<Parts>) -> impl Fn(&mut web::ServiceConfig) + Clone {
    move |config| everything(Worker::of_this_thread(&parts), Scheme::Http)(config)
}

/// Routes of the public listener, for one worker and the connections that speak `scheme`.
fn everything(worker: Rc<Worker>, scheme: Scheme) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(worker)
            .app_data(scheme)
            .default_service(web::to(redirect::answer_all));
    }
}

/// Routes of the control listener.
pub fn control(parts: web::Data<Parts>) -> impl Fn(&mut web::ServiceConfig) + Clone {
    requests::begin();
    move |config| {
        let no_route = || web::to(error::no_route);
        let api = web::scope("/api/v1").configure(api::routes);
        let routes = web::scope("")
            .wrap(from_fn(requests::watch))
            .route("/livez", web::get().to(health::livez))
            .route("/livez", web::head().to(health::livez))
            .route("/readyz", web::get().to(health::readyz))
            .route("/readyz", web::head().to(health::readyz))
            .route("/metrics", web::get().to(metrics::metrics))
            .service(api.default_service(no_route()))
            .default_service(no_route());
        config.app_data(parts.clone()).service(routes);
    }
}

impl Parts {
    fn store(&self) -> Result<Arc<Store>, error::WebError> {
        let unavailable = "the store is not available; links go on working";
        self.store
            .load_full()
            .ok_or_else(|| error::WebError::Unavailable(unavailable.to_owned()))
    }

    /// The rule set that a stored judgement was made with, if its text is known.
    fn rules_of(&self, id: RuleSetId) -> Option<Arc<RuleSet>> {
        self.rules.load().of(id).cloned()
    }
}

/// Gives a store what an edge knows and it does not.
///
/// # Errors
/// The store is not available.
pub async fn adopt(
    store: &Store,
    extra: &[crate::resolve::Change],
    now: Micros,
) -> Result<(), StoreError> {
    api::adopt(store, extra, now).await
}

/// Gives a take-over everything that the store knows of campaigns, links and short links.
///
/// # Errors
/// The store is not available.
pub async fn stored_catalogue(
    store: &Store,
    taking: &mut crate::resolve::TakeOver<'_>,
) -> Result<(), StoreError> {
    api::stored_catalogue(store, taking).await
}

/// Puts rows into force that another node has changed.
pub fn take_changed(parts: &Parts, changed: &Changed) {
    api::take_changed(parts, changed);
}
