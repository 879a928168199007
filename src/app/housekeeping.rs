//! Takes over what changes while the server runs: tables, certificates, configuration.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::rt::task::JoinHandle;
use actix_web::{rt, web as actix};
use anyhow::Context as _;

use crate::listen::{Authority, CertificateFiles, Certificates};
use crate::shutdown::Stop;
use crate::web::{CertificateState, Parts};

use super::aside::read_aside;
use super::certified::Certified;
use super::follow::follow;
use super::supervisor;
use super::watched::with_all;

/// How often files that may change are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Tasks that take over what changes, by name.
pub(super) struct Keeping(Vec<(&'static str, JoinHandle<()>)>);

impl Keeping {
    pub(super) fn start(parts: &actix::Data<Parts>, certified: Certified, stop: &Stop) -> Self {
        let listeners = [("public", certified.public), ("control", certified.control)];
        let (parts, stop) = (parts.clone(), stop.clone());
        let certifying = certify(certified.authority, parts.clone(), stop.clone());
        let reloading = reload_on_signal(parts.clone(), stop.clone());
        let exporting = housekeeping(parts.clone(), listeners, stop.clone());
        let mut tasks = vec![
            ("certifying", rt::spawn(with_all(certifying, stop.clone()))),
            ("reloading", rt::spawn(with_all(reloading, stop.clone()))),
            ("housekeeping", rt::spawn(with_all(exporting, stop.clone()))),
        ];
        if parts.config.store.is_some() {
            let following = follow(parts.clone(), stop.clone());
            tasks.push(("following", rt::spawn(with_all(following, stop.clone()))));
        }
        // Each by itself: a mount that hangs keeps nobody from what lies elsewhere.
        if let Some(table) = parts.config.network_table.clone() {
            let what = format!("the ASN table {}", table.display());
            let look = move || take_table(&parts, &table);
            let looking = look_again(what, look, stop.clone());
            tasks.push(("ASN table", rt::spawn(with_all(looking, stop.clone()))));
        }
        for (mut files, into) in certified.files {
            let what = format!("the certificate {}", files.chain().display());
            let mut refused = String::new();
            let look = move || take_certificate(&mut files, &into, &mut refused);
            let looking = look_again(what, look, stop.clone());
            tasks.push(("certificate", rt::spawn(with_all(looking, stop.clone()))));
        }
        Self(tasks)
    }

    /// Waits until they have stopped.
    ///
    /// # Errors
    /// One of them had died.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let mut ended = Ok(());
        for (name, task) in self.0 {
            ended = ended.and(task.await.context(name));
        }
        ended
    }
}

/// Looks at files again and again, never twice at a time.
async fn look_again(what: String, look: impl FnMut() + Send + 'static, stop: Stop) {
    let look = Arc::new(Mutex::new(look));
    while !stop.asked() {
        let look = Arc::clone(&look);
        let once = move || look.lock().unwrap_or_else(PoisonError::into_inner)();
        read_aside(&what, &stop, once).await;
        stop.wait_for(EVERY).await;
    }
}

/// Says how certificates are, and puts away what histograms have taken in: nobody may come to ask
/// for it.
async fn housekeeping(
    parts: actix::Data<Parts>,
    listeners: [(&'static str, Option<Arc<Certificates>>); 2],
    stop: Stop,
) {
    while !stop.asked() {
        export(&parts, &listeners);
        if let Some(metrics) = &parts.metrics {
            metrics.run_upkeep();
        }
        stop.wait_for(EVERY).await;
    }
}

/// Says of each listener that speaks TLS how its certificate is.
fn export(parts: &Parts, listeners: &[(&'static str, Option<Arc<Certificates>>)]) {
    let states = listeners.iter().filter_map(|(listener, certificates)| {
        let about = certificates.as_ref()?.about();
        Some(CertificateState {
            listener,
            names: about.names.clone(),
            expires: about.valid.1,
        })
    });
    let states: Vec<_> = states.collect();
    for state in &states {
        let name = "cupel_tls_certificate_expiry_timestamp_seconds";
        let expires = u32::try_from(state.expires).unwrap_or(u32::MAX);
        metrics::gauge!(name, "listener" => state.listener).set(f64::from(expires));
    }
    parts.certificates.store(Arc::new(states));
}

/// Takes over a new ASN table.
fn take_table(parts: &Parts, table: &Path) {
    match parts.networks.reload_if_changed(table) {
        Ok(true) => tracing::info!(table = %table.display(), "app: took over a new ASN table"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "app: kept the old ASN table"),
    }
}

/// Takes over a new certificate. A failure is said once.
fn take_certificate(files: &mut CertificateFiles, into: &Certificates, refused: &mut String) {
    match files.take_if_changed(into) {
        Ok(true) => {
            refused.clear();
            let names = into.about().names.join(", ");
            tracing::info!(%names, "app: took over a new certificate");
        }
        Ok(false) => {}
        Err(error) => {
            let error = error.to_string();
            if *refused != error {
                tracing::error!(%error, "app: kept the old certificate");
                *refused = error;
            }
        }
    }
}

/// Sees to it that an authority's certificate is there, where one is asked for.
async fn certify(authority: Option<Authority>, parts: actix::Data<Parts>, stop: Stop) {
    let Some(mut authority) = authority else {
        return stop.wait().await;
    };
    while !stop.asked() {
        let again = tokio::select! {
            again = authority.look(parts.clock.now()) => again,
            // An order may be waiting for its authority; it begins anew at the next start.
            () = stop.wait() => return,
        };
        stop.wait_for(again).await;
    }
}

/// Reads the configuration again on SIGHUP.
async fn reload_on_signal(parts: actix::Data<Parts>, stop: Stop) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("app: SIGHUP cannot be heard");
        return stop.wait().await;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = stop.wait() => return,
        }
        let turn = tokio::select! {
            turn = parts.reload_turn() => turn,
            () = stop.wait() => return,
        };
        let again = parts.clone();
        // It says itself what came of it.
        let reload = move || drop(supervisor::reloading(|| again.reload(turn)));
        read_aside("the configuration", &stop, reload).await;
    }
}
