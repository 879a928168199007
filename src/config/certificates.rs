//! Certificates: those that stand in files, and those that an authority gives.

use std::path::PathBuf;

use url::Url;

use crate::domain::destination::usable_host;

use super::layers::Layers;

/// Files of a certificate chain and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, the host's own certificate first.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// How an ACME authority is shown that the hosts lead here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// RFC 8737: a handshake on port 443.
    #[default]
    TlsAlpn01,
    /// RFC 8555, 8.3: a file on port 80.
    Http01,
}

/// Certificates from an ACME authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Host names; at least one.
    pub hosts: Vec<String>,
    /// Where the authority writes to.
    pub contact: Option<String>,
    /// URL of the authority's directory.
    pub directory: String,
    /// How the hosts are shown to lead here.
    pub challenge: AcmeChallenge,
    /// Certificate of the authority's own server, where no public one has signed it.
    pub ca_certificate: Option<PathBuf>,
}

fn readable(path: &str) -> Result<PathBuf, String> {
    let readable = std::fs::File::open(path).map(|_| PathBuf::from(path));
    readable.map_err(|why| format!("cannot read {path}: {why}"))
}

pub(super) fn certificate(layers: &mut Layers, chain: &str, key: &str) -> Option<Certificate> {
    for (one, other) in [(chain, key), (key, chain)] {
        if layers.is_set(one) && !layers.is_set(other) {
            layers.refuse(one, format!("needs {other} beside it"));
        }
    }
    let (chain, key) = (
        layers.optional(chain, readable),
        layers.optional(key, readable),
    );
    let (chain, key) = (chain?, key?);
    Some(Certificate { chain, key })
}

pub(super) fn acme(layers: &mut Layers) -> Option<Acme> {
    let acme = Acme {
        hosts: layers.many("acme.hosts", acme_host),
        contact: layers.optional("acme.contact", |text| match text.split_once('@') {
            Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("{text:?} is no e-mail address")),
        }),
        directory: layers.one("acme.directory", |text| match Url::parse(text) {
            Ok(url) if url.scheme() == "https" => Ok(text.to_owned()),
            _ => Err(format!("{text:?} is no https URL")),
        }),
        challenge: layers
            .word(
                "acme.challenge",
                &[
                    ("tls-alpn-01", AcmeChallenge::TlsAlpn01),
                    ("http-01", AcmeChallenge::Http01),
                ],
            )
            .unwrap_or_default(),
        ca_certificate: layers.optional("acme.ca_certificate", readable),
    };
    (!acme.hosts.is_empty()).then_some(acme)
}

/// A name that an authority can look up.
fn acme_host(text: &str) -> Result<String, String> {
    let host = text.to_ascii_lowercase();
    let url = Url::parse(&format!("https://{host}/"));
    let named = url.as_ref().is_ok_and(|url| {
        usable_host(url) && url.domain() == Some(host.as_str()) && !host.contains(['*', ':'])
    });
    if named {
        Ok(host)
    } else {
        Err(format!("{text:?} is no host name such as t.example.com"))
    }
}
