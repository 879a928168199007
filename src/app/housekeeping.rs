//! Takes over what changes while the server runs: tables, certificates, configuration.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::web as actix;

use crate::listen::{CertificateFiles, Certificates};
use crate::network::FileStamp;
use crate::shutdown::Stop;
use crate::web::Parts;

use super::background::wait;
use super::supervisor;

/// How often files that may change are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Takes over an ASN table and certificates whose files have changed.
pub(super) async fn housekeeping(
    parts: actix::Data<Parts>,
    mut certificates: Vec<(CertificateFiles, Arc<Certificates>)>,
    stop: Stop,
) {
    let table = parts.config.network_table.clone();
    let mut stamp = FileStamp::default();
    let mut refused = vec![String::new(); certificates.len()];
    while !stop.asked() {
        if let Some(table) = &table {
            match parts.networks.reload_if_changed(table, &mut stamp) {
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
        wait(EVERY, &stop).await;
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

/// Reads the configuration again on SIGHUP.
pub(super) async fn reload_on_signal(parts: actix::Data<Parts>, stop: Stop) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("app: SIGHUP cannot be heard");
        return;
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
