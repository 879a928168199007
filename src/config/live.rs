//! What may change while the server runs: taken over whole, or not at all.

use ipnet::{IpNet, Ipv4Net};

use crate::domain::campaign::PrivacyLevel;

use super::address::host_and_port;
use super::layers::Layers;
use super::{Face, ForwardedHeader, PrivacySignals, TrustedProxies};

/// Keys that are marked "reloaded".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Hosts (and ports, where they are not the scheme's own) on which acts are taken, in lower
    /// case; empty for any. Content redirects on every host.
    pub act_hosts: Vec<String>,
    /// What the pages say of the sender.
    pub face: Face,
    /// Hits wait in the journal, and nothing is written to the store.
    pub settle_paused: bool,
    /// Level of the installation.
    pub level: PrivacyLevel,
    /// What GPC and DNT do.
    pub privacy_signals: PrivacySignals,
    /// What is logged, in the syntax of tracing's `EnvFilter`.
    pub log_filter: String,
}

impl Live {
    pub(super) fn read(layers: &mut Layers) -> Self {
        let text = |text: &str| Ok::<_, String>(text.to_owned());
        Self {
            trusted_proxies: trusted_proxies(layers),
            act_hosts: layers.many("act_hosts", host_and_port),
            face: Face {
                sender: layers.one("face.sender", text),
                contact: layers.one("face.contact", text),
            },
            settle_paused: layers.yes_or_no("settle.paused"),
            level: layers
                .word("privacy.level", &LEVELS)
                .unwrap_or(PrivacyLevel::Individual),
            privacy_signals: layers.word("privacy.signals", &SIGNALS).unwrap_or_default(),
            log_filter: layers.one("log.filter", |text| {
                tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned())
            }),
        }
    }
}

const LEVELS: [(&str, PrivacyLevel); 3] = [
    ("individual", PrivacyLevel::Individual),
    ("aggregate", PrivacyLevel::Aggregate),
    ("none", PrivacyLevel::None),
];

const SIGNALS: [(&str, PrivacySignals); 3] = [
    ("ignore", PrivacySignals::Ignore),
    ("aggregate", PrivacySignals::Aggregate),
    ("none", PrivacySignals::None),
];

const FORWARDED_HEADERS: [(&str, ForwardedHeader); 2] = [
    ("x-forwarded-for", ForwardedHeader::XForwardedFor),
    ("forwarded", ForwardedHeader::Forwarded),
];

/// IPv4 that is written as IPv6 is IPv4, as the addresses of peers are.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else {
        return network;
    };
    let four = six.addr().to_ipv4_mapped();
    let bits = six.prefix_len().checked_sub(96);
    let mapped = four
        .zip(bits)
        .and_then(|(four, bits)| Ipv4Net::new(four, bits).ok());
    mapped.map_or(network, IpNet::V4)
}

fn trusted_proxies(layers: &mut Layers) -> TrustedProxies {
    let entries = layers.many("trusted_proxies", |text| {
        if text == "unix" {
            return Ok(None);
        }
        let network = text.parse::<IpNet>().ok();
        // A single address is the network of itself.
        let network = network.or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        let network = network.ok_or_else(|| {
            format!("{text:?} is no network such as 10.0.0.0/8 or 2001:db8::/32, nor \"unix\"")
        })?;
        let network = canonical(network);
        if network.trunc() != network {
            return Err(format!(
                "{text} has bits beyond its prefix; write {}",
                network.trunc()
            ));
        }
        Ok(Some(network))
    });
    TrustedProxies {
        unix: entries.iter().any(Option::is_none),
        networks: entries.into_iter().flatten().collect(),
        header: layers
            .word("forwarded_header", &FORWARDED_HEADERS)
            .unwrap_or_default(),
    }
}
