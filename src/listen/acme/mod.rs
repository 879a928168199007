//! A certificate for the public hosts from an ACME authority (RFC 8555): ordered when there is none
//! that fits, renewed when two thirds of its time are over, kept in the data directory.
//!
//! The authority looks for itself whether the hosts lead here: by a handshake on port 443 (RFC
//! 8737) or by a request on port 80. Both are answered without a restart, and a failure costs
//! nothing but a line in the log: the certificate in force stays.

mod kept;
mod order;

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Acme;
use crate::domain::time::Micros;
use crate::web::AcmeAnswers;

use super::certificates::{About, Certificates};
use kept::Kept;

/// How long to wait after the first failure, and at most; it doubles in between. Authorities
/// limit failed orders to a few an hour.
const RETRY: Duration = Duration::from_mins(1);
const RETRY_MAX: Duration = Duration::from_hours(6);
/// How often it is looked whether the certificate is old enough.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority could not be reached, or refused.
    #[error("{0}")]
    Authority(#[from] instant_acme::Error),
    /// The authority did not find the hosts here.
    #[error("the authority did not find the hosts here: {0}")]
    NotHere(String),
    /// A key or certificate cannot be made.
    #[error("{0}")]
    Key(#[from] rcgen::Error),
    /// The certificate cannot be used.
    #[error("{0}")]
    Certificate(#[from] super::CertificateError),
    /// The data directory does not take it.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Sees to it that there is a certificate.
#[derive(Debug)]
pub struct Authority {
    acme: Acme,
    kept: Kept,
    certificates: Arc<Certificates>,
    answers: Arc<AcmeAnswers>,
    failures: u32,
}

impl Authority {
    /// Takes the certificate that is kept in `directory`, if it fits.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(
        acme: Acme,
        directory: PathBuf,
        certificates: Arc<Certificates>,
        answers: Arc<AcmeAnswers>,
    ) -> Result<Self, AcmeError> {
        let kept = Kept::open(directory)?;
        match kept.certificate() {
            Ok(Some(pem)) => kept.take(&pem, &certificates)?,
            Ok(None) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            acme,
            kept,
            certificates,
            answers,
            failures: 0,
        })
    }

    /// Orders a certificate if it is time to, and says how long to wait until it is looked again.
    pub async fn look(&mut self, now: Micros) -> Duration {
        if !is_due(&self.certificates.about(), &self.acme.hosts, now) {
            return LOOK_EVERY;
        }
        let hosts = self.acme.hosts.join(", ");
        tracing::info!(%hosts, directory = %self.acme.directory, "listen: ordering a certificate");
        match self.order().await {
            Ok(()) => {
                self.failures = 0;
                tracing::info!(%hosts, "listen: took over a new certificate");
                LOOK_EVERY
            }
            Err(error) => {
                let again = RETRY * 2_u32.saturating_pow(self.failures.min(16));
                let again = again.min(RETRY_MAX);
                self.failures += 1;
                let (again_s, error) = (again.as_secs(), with_causes(&error));
                tracing::error!(%hosts, error, again_s, "listen: no new certificate");
                again
            }
        }
    }

    async fn order(&self) -> Result<(), AcmeError> {
        let account = self.kept.account(&self.acme).await?;
        let ordered =
            order::certificate(&account, &self.acme, &self.certificates, &self.answers).await;
        self.certificates.answer_challenges(Default::default());
        self.answers.forget();
        let pem = ordered?;
        self.kept.take(&pem, &self.certificates)?;
        self.kept.keep_certificate(&pem)
    }
}

/// An error and what brought it about: of a connection that failed only the last says why.
fn with_causes(error: &AcmeError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Whether a certificate is missing, is not for all hosts, or has a third of its time left.
fn is_due(about: &About, hosts: &[String], now: Micros) -> bool {
    let (from, to) = about.valid;
    let left = to - i64::from(now.seconds());
    hosts.iter().any(|host| !about.covers(host)) || left < (to - from) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_when_it_does_not_fit_or_two_thirds_are_over() {
        let day = 86_400;
        let about = About {
            names: vec!["a.example".to_owned(), "*.b.example".to_owned()],
            valid: (0, 90 * day),
        };
        let due = |hosts: &[&str], now: i64| {
            let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
            is_due(&about, &hosts, Micros::new(now * 1_000_000))
        };
        assert!(!due(&["a.example", "x.b.example", "A.EXAMPLE"], 59 * day));
        assert!(due(&["a.example"], 61 * day));
        assert!(due(&["a.example"], 100 * day));
        assert!(due(&["c.example"], day));
        assert!(due(&["b.example"], day), "* stands for one label");
        assert!(due(&["x.y.b.example"], day), "and for no more");
        let nothing = is_due(&About::default(), &["a.example".to_owned()], Micros::new(0));
        assert!(nothing, "none yet");
    }
}
