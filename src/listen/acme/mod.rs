//! A certificate for the public hosts from an ACME authority (RFC 8555): ordered when there is none
//! that fits or it is from another authority, renewed when two thirds of its time are over, kept in
//! the data directory.
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

use instant_acme::Account;
use tokio::time::timeout;

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

/// What an order may take, whatever the authority does: some that are taken on never answer.
const ORDER_MAX: Duration = Duration::from_mins(5);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority could not be reached, or refused.
    #[error("{0}")]
    Authority(#[from] instant_acme::Error),
    /// The authority takes requests, and does not answer.
    #[error("the authority did not come to an end within {} s", .0.as_secs())]
    Silent(Duration),
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
    /// Which authority the certificate in force is from, if there is one.
    from: Option<String>,
    /// The certificate in force, PEM, while the disk has not taken it.
    unkept: Option<Vec<u8>>,
    failures: u32,
    order_max: Duration,
}

impl Authority {
    /// Takes the certificate that is kept in `directory`; one that cannot be used is ordered anew.
    pub fn open(
        acme: Acme,
        directory: PathBuf,
        certificates: Arc<Certificates>,
        answers: Arc<AcmeAnswers>,
    ) -> Self {
        let kept = Kept::new(directory);
        let from = kept.take_kept(&certificates).unwrap_or_else(|error| {
            tracing::error!(%error, "listen: the certificate that was kept cannot be used");
            None
        });
        Self {
            acme,
            kept,
            certificates,
            answers,
            from,
            unkept: None,
            failures: 0,
            order_max: ORDER_MAX,
        }
    }

    /// Orders a certificate if it is time to, and says how long to wait until it is looked again.
    pub async fn look(&mut self, now: Micros) -> Duration {
        let another = self.from.as_ref() != Some(&self.acme.directory);
        if !another && !is_due(&self.certificates.about(), &self.acme.hosts, now) {
            return self.keep();
        }
        let hosts = self.acme.hosts.join(", ");
        tracing::info!(%hosts, directory = %self.acme.directory, "listen: ordering a certificate");
        match self.order().await {
            Ok(()) => {
                self.failures = 0;
                tracing::info!(%hosts, "listen: took over a new certificate");
                self.keep()
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

    /// Puts a new certificate into force.
    async fn order(&mut self) -> Result<(), AcmeError> {
        let ordered = timeout(self.order_max, self.ordered()).await;
        self.certificates.answer_challenges(Default::default());
        self.answers.forget();
        let pem = ordered.unwrap_or(Err(AcmeError::Silent(self.order_max)))?;
        self.kept.take(&pem, &self.certificates)?;
        self.from = Some(self.acme.directory.clone());
        self.unkept = Some(pem);
        Ok(())
    }

    /// Key and chain, PEM. An account that the authority has forgotten is made anew.
    async fn ordered(&self) -> Result<Vec<u8>, AcmeError> {
        let with = async |account: Account| {
            order::certificate(&account, &self.acme, &self.certificates, &self.answers).await
        };
        match with(self.kept.account(&self.acme).await?).await {
            Err(error) if is_forgotten(&error) => {
                tracing::warn!("listen: the authority has forgotten the account; making another");
                self.kept.forget_account()?;
                with(self.kept.account(&self.acme).await?).await
            }
            ordered => ordered,
        }
    }

    /// Keeps the certificate in force if that is still to be done, and says how long to wait until
    /// it is looked again.
    fn keep(&mut self) -> Duration {
        let Some(pem) = &self.unkept else {
            return LOOK_EVERY;
        };
        match self.kept.keep_certificate(&self.acme.directory, pem) {
            Ok(()) => {
                self.unkept = None;
                LOOK_EVERY
            }
            Err(error) => {
                let again_s = RETRY.as_secs();
                tracing::error!(%error, again_s, "listen: the new certificate is not kept yet");
                RETRY
            }
        }
    }
}

/// Whether the authority does not know the account (RFC 8555, 6.7).
fn is_forgotten(error: &AcmeError) -> bool {
    let AcmeError::Authority(instant_acme::Error::Api(problem)) = error else {
        return false;
    };
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
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
    use std::net::TcpListener;

    use actix_web::rt;

    use super::*;

    /// Of an authority at this URL, which keeps what it has in `directory`.
    fn authority(url: &str, directory: PathBuf) -> Authority {
        let acme = Acme {
            hosts: vec!["a.example".to_owned()],
            contact: None,
            directory: url.to_owned(),
            challenge: Default::default(),
            ca_certificate: None,
        };
        Authority::open(acme, directory, Arc::default(), Arc::default())
    }

    #[test]
    fn an_authority_that_never_answers_is_given_up_and_asked_again() {
        let own = tempfile::tempdir().unwrap();
        // Connections are made, and nobody speaks on them.
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/directory", mute.local_addr().unwrap());
        let mut authority = authority(&url, own.path().join("acme"));
        authority.order_max = Duration::from_millis(200);
        let look = async { authority.look(Micros::new(0)).await };
        assert_eq!(rt::System::new().block_on(look), RETRY);
        let error = rt::System::new().block_on(authority.order()).unwrap_err();
        assert!(matches!(error, AcmeError::Silent(_)), "{error}");
    }

    #[test]
    fn a_certificate_that_the_disk_did_not_take_is_kept_later() {
        let own = tempfile::tempdir().unwrap();
        let directory = own.path().join("acme");
        std::fs::write(&directory, "no directory").unwrap();
        let mut authority = authority("https://a.example/", directory.clone());
        authority.unkept = Some(b"pem".to_vec());
        assert_eq!(authority.keep(), RETRY);
        std::fs::remove_file(&directory).unwrap();
        assert_eq!(authority.keep(), LOOK_EVERY);
        let kept = std::fs::read_to_string(directory.join("certificate.pem")).unwrap();
        assert_eq!(kept, "authority: https://a.example/\npem");
        assert!(authority.unkept.is_none());
    }

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
