//! Certificates of a listener: read from files, and again when these change, or got from an
//! authority.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config::Certificate;

/// Protocol of handshakes by which an ACME authority looks who is here (RFC 8737).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Largest file of a chain or a key; they have some thousand bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A file holds something else.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key are not of each other.
    #[error("{} is not the key of {}", key.display(), chain.display())]
    Mismatch {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

/// What a certificate says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Host names and addresses that it is for.
    pub names: Vec<String>,
    /// When it becomes valid and when it no longer is, seconds since 1970.
    pub valid: (i64, i64),
}

/// The certificate in force, which may change while connections are taken.
#[derive(Default)]
pub struct Certificates {
    current: ArcSwapOption<CertifiedKey>,
    about: ArcSwap<About>,
    /// Answers to an authority's handshakes, by host.
    challenges: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about.load().fmt(f)
    }
}

impl Certificates {
    /// Takes a chain and its key, PEM, from now on.
    ///
    /// # Errors
    /// They cannot be read, or are not of each other; the certificate in force stays.
    pub(super) fn take(
        &self,
        files: &Certificate,
        chain: &[u8],
        key: &[u8],
    ) -> Result<(), CertificateError> {
        let wrong = |path: &Path, why: String| CertificateError::File {
            path: path.to_owned(),
            why,
        };
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let parsed = parsed.map_err(|why| wrong(&files.chain, why.to_string()))?;
        let about = parsed.first().and_then(About::of);
        let about = about.ok_or_else(|| wrong(&files.chain, "holds no certificate".to_owned()))?;
        let secret = PrivateKeyDer::from_pem_slice(key);
        let secret = secret.map_err(|why| wrong(&files.key, format!("holds no key: {why}")))?;
        let certified = CertifiedKey::from_der(parsed, secret, &provider());
        let certified = certified.map_err(|why| match why {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
                chain: files.chain.clone(),
                key: files.key.clone(),
            },
            why => wrong(&files.key, why.to_string()),
        })?;
        self.about.store(Arc::new(about));
        self.current.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Answers an authority's handshakes with these from now on, by host.
    pub(super) fn answer_challenges(&self, by_host: HashMap<String, Arc<CertifiedKey>>) {
        self.challenges.store(Arc::new(by_host));
    }

    /// What the certificate in force says of itself; empty if there is none yet.
    #[must_use]
    pub fn about(&self) -> Arc<About> {
        self.about.load_full()
    }

    /// How TLS is spoken with them: 1.2 and 1.3 with rustls's own choice of ciphers and key
    /// exchanges.
    ///
    /// # Errors
    /// Never, unless rustls has no protocol left.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_TLS.to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello
            .alpn()
            .is_some_and(|mut names| names.any(|name| name == ACME_TLS));
        if asks {
            let host = hello.server_name()?;
            return self.challenges.load().get(host).cloned();
        }
        self.current.load_full()
    }
}

pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

impl About {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        let named = certificate.subject_alternative_name().ok().flatten();
        let names = named.map(|it| &it.value.general_names);
        Some(Self {
            names: names.into_iter().flatten().filter_map(name).collect(),
            valid: (
                validity.not_before.timestamp(),
                validity.not_after.timestamp(),
            ),
        })
    }

    /// Whether it is for a host, as browsers read names: a `*` stands for one label.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let rest = host.split_once('.').map(|(_, rest)| rest);
        self.names.iter().any(|name| {
            let wildcard = name.strip_prefix("*.");
            name.eq_ignore_ascii_case(host)
                || wildcard.is_some_and(|it| rest.is_some_and(|rest| it.eq_ignore_ascii_case(rest)))
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(IpAddr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|it| IpAddr::from(it).to_string()),
        },
        _ => None,
    }
}

/// Files of a certificate that may be replaced at any time.
#[derive(Debug)]
pub struct CertificateFiles {
    files: Certificate,
    /// What was last considered, taken over or not; empty files are something, too.
    seen: Option<(Vec<u8>, Vec<u8>)>,
}

impl CertificateFiles {
    /// Reads them.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(files: &Certificate) -> Result<(Self, Arc<Certificates>), CertificateError> {
        let mut opened = Self {
            files: files.clone(),
            seen: None,
        };
        let certificates = Arc::new(Certificates::default());
        opened.take_if_changed(&certificates)?;
        Ok((opened, certificates))
    }

    /// The file of the chain.
    #[must_use]
    pub fn chain(&self) -> &Path {
        &self.files.chain
    }

    /// Takes over what is in the files if it is not what was last considered, and says whether it
    /// did.
    ///
    /// # Errors
    /// They cannot be used; the certificate in force stays. Files that are replaced one after the
    /// other do not fit in between: what is wrong is said once, and mended by the second.
    pub fn take_if_changed(&mut self, into: &Certificates) -> Result<bool, CertificateError> {
        let now = (read(&self.files.chain)?, read(&self.files.key)?);
        if self.seen.as_ref() == Some(&now) {
            return Ok(false);
        }
        let (chain, key) = self.seen.insert(now);
        into.take(&self.files, chain, key)?;
        Ok(true)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let opened = File::open(path);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|why| CertificateError::Unreadable {
        path: path.to_owned(),
        why,
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        return Ok(bytes);
    }
    Err(CertificateError::File {
        path: path.to_owned(),
        why: format!("holds more than {FILE_BYTES_MAX} bytes"),
    })
}
