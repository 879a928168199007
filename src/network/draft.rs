//! Network lists while they are put together.

use ipnet::IpNet;

use super::lists::NetworkLists;
use super::ranges::{Ranges, union};
use super::table::top_half;
use crate::domain::network::Lists;

/// Networks that public hosting lists hold and that people click from: Microsoft (Windows 365),
/// Google, and Akamai's two that carry iCloud Private Relay.
pub(super) const NEVER_HOSTING: [u32; 4] = [8075, 15169, 20940, 36183];

/// Networks that are put on lists, one after the other.
#[derive(Debug, Default)]
pub struct DraftLists {
    version: u16,
    asns: Vec<(u32, Lists)>,
    v4: Vec<(u32, u32, Lists)>,
    v6: Vec<(u64, u64, Lists)>,
}

impl DraftLists {
    pub(super) fn of_version(version: u16) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    /// Adds a network as people write it: an AS number such as `AS64500`, or a prefix.
    ///
    /// # Errors
    /// What is wrong with it: host bits, a prefix finer than a /64, AS0, or a network that must not
    /// be called hosting.
    pub fn add(&mut self, list: Lists, network: &str) -> Result<(), String> {
        let name = network.split_at_checked(2);
        match name.filter(|(letters, _)| letters.eq_ignore_ascii_case("AS")) {
            Some((_, digits)) => {
                let digits = Some(digits).filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
                let number = digits.and_then(|digits| digits.parse().ok());
                let none = || format!("`{network:.60}` is no AS number such as AS64500");
                self.add_asn(list, number.ok_or_else(none)?)
            }
            None => self.add_prefix(list, network),
        }
    }

    pub(super) fn add_asn(&mut self, list: Lists, asn: u32) -> Result<(), String> {
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

    pub(super) fn add_prefix(&mut self, list: Lists, text: &str) -> Result<(), String> {
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

    /// The lists as they are asked.
    #[must_use]
    pub fn finish(mut self) -> NetworkLists {
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
