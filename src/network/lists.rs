//! The network lists: which autonomous systems and address ranges belong to scanners, hosting
//! companies, relays and so on. The data is `geoip/networks.toml` and `geoip/private-relay.txt`,
//! compiled in; every entry there names its source. It states facts and refuses to judge: where
//! human egress and a privacy relay cancel hosting, the judge does it.

use std::net::IpAddr;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::draft::DraftLists;
use super::error::NetworkError;
use super::ranges::Ranges;
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

/// Lists by network and by address.
#[derive(Debug)]
pub struct NetworkLists {
    pub(super) version: u16,
    /// Rising by ASN.
    pub(super) asns: Box<[(u32, Lists)]>,
    pub(super) v4: Ranges<u32, Lists>,
    pub(super) v6: Ranges<u64, Lists>,
}

impl NetworkLists {
    /// The lists compiled into the program.
    ///
    /// # Errors
    /// Only if the program was built from lists that break their own form.
    pub fn shipped() -> Result<Self, NetworkError> {
        let mut draft = read(NETWORKS.0, NETWORKS.1)?;
        add_lines(&mut draft, Lists::PRIVACY_RELAY, PRIVATE_RELAY)?;
        Ok(draft.finish())
    }

    /// Lists from text in the form of `geoip/networks.toml`.
    ///
    /// # Errors
    /// Names the line: an unknown key or list, a version of 0, an entry without a source, a prefix
    /// with host bits or finer than a /64, an ASN that may not be called hosting.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        Ok(read("network lists", text)?.finish())
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
    list: Spanned<String>,
    source: Spanned<String>,
    numbers: Vec<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrefixes {
    list: Spanned<String>,
    source: Spanned<String>,
    networks: Vec<Spanned<String>>,
}

/// The list that an entry names.
fn list_named(name: &Spanned<String>) -> Result<Lists, String> {
    let found = Lists::named(name.get_ref());
    found.ok_or_else(|| {
        format!(
            "`{:.60}` is no list; there are {}",
            name.get_ref(),
            Lists::names()
        )
    })
}

fn read(file: &'static str, text: &str) -> Result<DraftLists, NetworkError> {
    let refuse = |span: Range<usize>, problem| NetworkError::Lists {
        file,
        line: line_at(text, span.start),
        problem,
    };
    let written: Written = toml::from_str(text)
        .map_err(|error| refuse(error.span().unwrap_or_default(), error.message().to_owned()))?;
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
    let mut draft = DraftLists::of_version(written.version);
    let listed =
        |list: &Spanned<String>| list_named(list).map_err(|problem| refuse(list.span(), problem));
    for entry in written.asns {
        let list = listed(&entry.list)?;
        for number in entry.numbers {
            let added = draft.add_asn(list, *number.get_ref());
            added.map_err(|problem| refuse(number.span(), problem))?;
        }
    }
    for entry in written.prefixes {
        let list = listed(&entry.list)?;
        for network in entry.networks {
            let added = draft.add_prefix(list, network.get_ref());
            added.map_err(|problem| refuse(network.span(), problem))?;
        }
    }
    Ok(draft)
}

/// Adds a prefix a line; `#` begins a comment.
fn add_lines(
    draft: &mut DraftLists,
    list: Lists,
    (file, text): (&'static str, &str),
) -> Result<(), NetworkError> {
    for (at, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            let added = draft.add_prefix(list, entry);
            added.map_err(|problem| NetworkError::Lists {
                file,
                line: at + 1,
                problem,
            })?;
        }
    }
    Ok(())
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
    use crate::network::draft::NEVER_HOSTING;

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
