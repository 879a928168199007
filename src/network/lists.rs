//! The network lists: which autonomous systems and address ranges belong to scanners, hosting
//! companies, relays and so on. The data is `geoip/networks.toml` and `geoip/private-relay.txt`,
//! compiled in; every entry there names its source. It states facts and refuses to judge: where
//! human egress and a privacy relay cancel hosting, the judge does it.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use super::error::NetworkError;
use super::ranges::{Ranges, union};
use super::table::top_half;
use crate::domain::network::Lists;

const NETWORKS: (&str, &str) = (
    "geoip/networks.toml",
    include_str!("../../geoip/networks.toml"),
);
const PRIVATE_RELAY: (&str, &str) = (
    "geoip/private-relay.txt",
    include_str!("../../geoip/private-relay.txt"),
);

/// Networks that public hosting lists hold and that people click from: Microsoft (Windows 365),
/// Google, and Akamai's two that carry iCloud Private Relay.
const NEVER_HOSTING: [u32; 4] = [8075, 15169, 20940, 36183];

/// Lists by network and by address.
#[derive(Debug)]
pub struct NetworkLists {
    version: u16,
    /// Rising by ASN.
    asns: Box<[(u32, Lists)]>,
    v4: Ranges<u32, Lists>,
    v6: Ranges<u64, Lists>,
}

impl NetworkLists {
    /// The lists compiled into the program.
    ///
    /// # Errors
    /// Only if the program was built from lists that break their own form.
    pub fn shipped() -> Result<Self, NetworkError> {
        let mut draft = Draft::parse(NETWORKS.0, NETWORKS.1)?;
        draft.add_lines(Lists::PRIVACY_RELAY, PRIVATE_RELAY.0, PRIVATE_RELAY.1)?;
        Ok(draft.finish())
    }

    /// Lists from text in the form of `geoip/networks.toml`.
    ///
    /// # Errors
    /// Names the line: an unknown key or list, a version of 0, an entry without a source, a prefix
    /// with host bits or finer than a /64, an ASN that may not be called hosting.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        Ok(Draft::parse("network lists", text)?.finish())
    }

    /// Version of the lists, raised with each change of them.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// All lists that an address, or the network that announces it, is on.
    #[must_use]
    pub fn of(&self, address: IpAddr, asn: u32) -> Lists {
        let by_address = match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.get(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.get(top_half(v6)),
        };
        let at = self.asns.binary_search_by_key(&asn, |entry| entry.0).ok();
        let by_asn = at
            .and_then(|at| self.asns.get(at))
            .map_or(Lists::NONE, |entry| entry.1);
        by_address.and(by_asn)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u16,
    #[serde(default)]
    asns: Vec<WrittenAsns>,
    #[serde(default)]
    prefixes: Vec<WrittenPrefixes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAsns {
    list: ListName,
    source: Spanned<String>,
    numbers: Vec<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrefixes {
    list: ListName,
    source: Spanned<String>,
    networks: Vec<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ListName {
    EmailSecurity,
    CertainScanner,
    Hosting,
    MailProvider,
    ImageProxy,
    PrivacyRelay,
    Cdn,
    HumanEgress,
}

impl ListName {
    fn bit(self) -> Lists {
        match self {
            Self::EmailSecurity => Lists::EMAIL_SECURITY,
            Self::CertainScanner => Lists::CERTAIN_SCANNER,
            Self::Hosting => Lists::HOSTING,
            Self::MailProvider => Lists::MAIL_PROVIDER,
            Self::ImageProxy => Lists::IMAGE_PROXY,
            Self::PrivacyRelay => Lists::PRIVACY_RELAY,
            Self::Cdn => Lists::CDN,
            Self::HumanEgress => Lists::HUMAN_EGRESS,
        }
    }
}

/// Lists while they are read.
struct Draft {
    version: u16,
    asns: Vec<(u32, Lists)>,
    v4: Vec<(u32, u32, Lists)>,
    v6: Vec<(u64, u64, Lists)>,
}

impl Draft {
    fn parse(file: &'static str, text: &str) -> Result<Self, NetworkError> {
        let refuse = |span: Range<usize>, problem| NetworkError::Lists {
            file,
            line: line_at(text, span.start),
            problem,
        };
        let written: Written = toml::from_str(text).map_err(|error| {
            refuse(error.span().unwrap_or_default(), error.message().to_owned())
        })?;
        if written.version == 0 {
            return Err(refuse(0..0, "the version is 0; it begins at 1".to_owned()));
        }
        let sources = written.asns.iter().map(|entry| &entry.source);
        let sources = sources.chain(written.prefixes.iter().map(|entry| &entry.source));
        for source in sources {
            if source.get_ref().trim().is_empty() {
                return Err(refuse(
                    source.span(),
                    "an entry without a source".to_owned(),
                ));
            }
        }
        let (asns, v4, v6) = (Vec::new(), Vec::new(), Vec::new());
        let mut draft = Self {
            version: written.version,
            asns,
            v4,
            v6,
        };
        for entry in written.asns {
            for number in entry.numbers {
                let added = draft.add_asn(entry.list.bit(), *number.get_ref());
                added.map_err(|problem| refuse(number.span(), problem))?;
            }
        }
        for entry in written.prefixes {
            for network in entry.networks {
                let added = draft.add_prefix(entry.list.bit(), network.get_ref());
                added.map_err(|problem| refuse(network.span(), problem))?;
            }
        }
        Ok(draft)
    }

    /// Adds a prefix a line; `#` begins a comment.
    fn add_lines(
        &mut self,
        list: Lists,
        file: &'static str,
        text: &str,
    ) -> Result<(), NetworkError> {
        for (at, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                self.add_prefix(list, entry)
                    .map_err(|problem| NetworkError::Lists {
                        file,
                        line: at + 1,
                        problem,
                    })?;
            }
        }
        Ok(())
    }

    fn add_asn(&mut self, list: Lists, asn: u32) -> Result<(), String> {
        if asn == 0 {
            return Err("AS0 is no network".to_owned());
        }
        if list == Lists::HOSTING && NEVER_HOSTING.contains(&asn) {
            return Err(format!(
                "AS{asn} must not be called hosting: people click from it"
            ));
        }
        self.asns.push((asn, list));
        Ok(())
    }

    fn add_prefix(&mut self, list: Lists, text: &str) -> Result<(), String> {
        let network: IpNet = text
            .parse()
            .map_err(|_| format!("`{text:.60}` is not a prefix such as 192.0.2.0/24"))?;
        if network.trunc() != network {
            return Err(format!(
                "{network} has host bits; {} is meant?",
                network.trunc()
            ));
        }
        match network {
            IpNet::V4(v4) => {
                self.v4
                    .push((v4.network().to_bits(), v4.broadcast().to_bits(), list));
            }
            IpNet::V6(v6) if v6.prefix_len() > 64 => {
                return Err(format!(
                    "{v6} is finer than a /64, which is the finest kept"
                ));
            }
            IpNet::V6(v6) => {
                self.v6
                    .push((top_half(v6.network()), top_half(v6.broadcast()), list));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> NetworkLists {
        self.asns.sort_by_key(|entry| entry.0);
        let mut asns: Vec<(u32, Lists)> = Vec::with_capacity(self.asns.len());
        for (asn, list) in self.asns {
            match asns.last_mut() {
                Some(last) if last.0 == asn => last.1 = last.1.and(list),
                _ => asns.push((asn, list)),
            }
        }
        NetworkLists {
            version: self.version,
            asns: asns.into_boxed_slice(),
            v4: Ranges::new(&union(&self.v4)),
            v6: Ranges::new(&union(&self.v6)),
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lists: &NetworkLists, address: &str, asn: u32) -> Lists {
        lists.of(address.parse().unwrap(), asn)
    }

    #[test]
    fn the_shipped_lists_say_what_their_sources_say() {
        let lists = NetworkLists::shipped().unwrap();
        let certain = [
            "40.92.0.0",
            "40.93.255.255",
            "40.94.16.1",
            "::ffff:40.107.218.12",
            "52.103.255.255",
            "104.47.127.255",
            "2a01:111:f400::1",
            "2a01:111:f403:ffff:ffff:ffff:ffff:ffff",
            "209.222.82.255",
            "35.157.190.224",
        ];
        for address in certain {
            assert_eq!(of(&lists, address, 0), Lists::CERTAIN_SCANNER, "{address}");
        }
        let beside = [
            "40.91.255.255",
            "40.95.0.0",
            "104.47.128.0",
            "2a01:111:f401::",
            "52.104.0.0",
        ];
        for address in beside {
            assert_eq!(of(&lists, address, 0), Lists::NONE, "{address}");
        }
        assert_eq!(
            of(&lists, "104.28.28.79", 13335),
            Lists::PRIVACY_RELAY.and(Lists::CDN)
        );
        assert_eq!(of(&lists, "192.0.2.1", 22843), Lists::EMAIL_SECURITY);
        assert_eq!(of(&lists, "192.0.2.1", 22616), Lists::HUMAN_EGRESS);
        assert_eq!(of(&lists, "192.0.2.1", 8075), Lists::MAIL_PROVIDER);
        assert_eq!(of(&lists, "192.0.2.1", 16509), Lists::HOSTING);
        assert_eq!(
            of(&lists, "3.24.133.128", 16509),
            Lists::CERTAIN_SCANNER.and(Lists::HOSTING)
        );
        for asn in NEVER_HOSTING {
            assert!(!of(&lists, "192.0.2.1", asn).any(Lists::HOSTING), "AS{asn}");
        }
    }

    #[test]
    fn overlapping_prefixes_give_the_lists_of_all() {
        let text = "version = 3\n\
            prefixes = [\n\
            { list = 'hosting', source = 's', networks = ['10.0.0.0/8', '255.0.0.0/8', '::/0'] },\n\
            { list = 'cdn', source = 's', networks = ['10.1.0.0/16', '10.1.0.0/24'] },\n\
            ]\n";
        let lists = NetworkLists::parse(text).unwrap();
        let both = Lists::HOSTING.and(Lists::CDN);
        assert_eq!(lists.version(), 3);
        assert_eq!(of(&lists, "10.0.255.255", 0), Lists::HOSTING);
        assert_eq!(
            [of(&lists, "10.1.0.255", 0), of(&lists, "10.1.1.0", 0)],
            [both, both]
        );
        assert_eq!(of(&lists, "10.2.0.0", 0), Lists::HOSTING);
        assert_eq!(of(&lists, "11.0.0.0", 0), Lists::NONE);
        assert_eq!(of(&lists, "255.255.255.255", 0), Lists::HOSTING);
        assert_eq!(of(&lists, "ffff:ffff::", 0), Lists::HOSTING);
    }

    #[test]
    fn what_breaks_the_form_is_refused_with_its_line() {
        let asns = |list: &str, number: &str| {
            format!(
                "version = 1\n[[asns]]\nlist = '{list}'\nsource = 's'\nnumbers = [\n{number}]\n"
            )
        };
        let prefix = |network: &str| {
            format!(
                "version = 1\n[[prefixes]]\nlist = 'cdn'\nsource = 's'\n\
                 networks = [\n'{network}']\n"
            )
        };
        for asn in NEVER_HOSTING {
            let error = NetworkLists::parse(&asns("hosting", &asn.to_string())).unwrap_err();
            assert!(error.to_string().contains("line 6: AS"), "{error}");
        }
        assert!(NetworkLists::parse(&asns("cdn", "13335")).is_ok());
        for bad in ["10.0.0.1/8", "10.0.0.0", "2001:db8::/65", "x"] {
            let error = NetworkLists::parse(&prefix(bad)).unwrap_err();
            assert!(error.to_string().contains("line 6: "), "{error}");
        }
        let no_source = asns("cdn", "1").replace("'s'", "' '");
        for bad in [
            asns("friends", "1"),
            asns("cdn", "0"),
            no_source,
            "version = 0".to_owned(),
        ] {
            assert!(NetworkLists::parse(&bad).is_err(), "{bad}");
        }
    }
}
