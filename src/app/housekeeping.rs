//! Takes over what changes while the server runs: tables, certificates, configuration.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::rt::task::JoinHandle;
use actix_web::{rt, web as actix};
use anyhow::Context as _;

use crate::listen::{Authority, CertificateFiles, Certificates};
use crate::shutdown::Stop;
use crate::web::{CertificateState, Parts};

use super::certified::Certified;
use super::supervisor;
use super::watched::with_all;

/// How often files that may change are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Tasks that take over what changes, by name.
pub(super) struct Keeping([(&'static str, JoinHandle<()>); 3]);

impl Keeping {
    pub(super) fn start(parts: &actix::Data<Parts>, certified: Certified, stop: &Stop) -> Self {
        let listeners = [("public", certified.public), ("control", certified.control)];
        let (parts, stop) = (parts.clone(), stop.clone());
        let certifying = certify(certified.authority, parts.clone(), stop.clone());
        let reloading = reload_on_signal(parts.clone(), stop.clone());
        let files = housekeeping(parts, listeners, certified.files, stop.clone());
        Self([
            ("certifying", rt::spawn(with_all(certifying, stop.clone()))),
            ("reloading", rt::spawn(with_all(reloading, stop.clone()))),
            ("housekeeping", rt::spawn(with_all(files, stop))),
        ])
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

/// Takes over an ASN table and certificates whose files have changed, and puts away what histograms
/// have taken in: nobody may come to ask for it.
async fn housekeeping(
    parts: actix::Data<Parts>,
    listeners: [(&'static str, Option<Arc<Certificates>>); 2],
    mut certificates: Vec<(CertificateFiles, Arc<Certificates>)>,
    stop: Stop,
) {
    let table = parts.config.network_table.clone();
    let mut refused = vec![String::new(); certificates.len()];
    while !stop.asked() {
        if let Some(table) = &table {
            match parts.networks.reload_if_changed(table) {
                Ok(true) => {
                    tracing::info!(table = %table.display(), "app: took over a new ASN table");
                }
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "app: kept the old ASN table"),
            }
        }
        for ((files, certificates), refused) in certificates.iter_mut().zip(&mut refused) {
            take_certificate(files, certificates, refused);
        }
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
        // It says itself what came of it.
        let _said = supervisor::reloading(|| parts.reload());
    }
}
