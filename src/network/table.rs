//! The ASN table in memory: which autonomous system announces an address, and who runs it. It
//! answers from memory alone and never changes; a newer table replaces it whole.
//!
//! IPv6 is kept by the top 64 bits: ranges finer than a /64 are merged. Where several share a /64,
//! one that lies within it, the last listed, decides for all of it. IPv4 is kept whole.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use crate::domain::time::Micros;

use super::error::NetworkError;
use super::ranges::{Ranges, Span, settle};
use super::{file, mmdb};

/// Largest table file that is read, of either form.
pub const TABLE_FILE_BYTES_MAX: u64 = 256 << 20;

static SHIPPED: &[u8] = include_bytes!("../../geoip/asn.cupel");

/// Autonomous systems by address.
#[derive(Debug)]
pub struct AsnTable {
    pub(super) v4: Ranges<u32, u32>,
    pub(super) v6: Ranges<u64, u32>,
    pub(super) names: Names,
    source: String,
}

impl AsnTable {
    /// The table compiled into the program.
    ///
    /// # Errors
    /// Only if the program was built from a damaged table.
    pub fn shipped() -> Result<Self, NetworkError> {
        file::decode(SHIPPED, Path::new("geoip/asn.cupel (compiled in)"))
    }

    /// Reads a table made by `cupel geoip build` or an ASN database in MaxMind's form; the
    /// content decides which. The file is read whole and closed, so it may be overwritten later.
    ///
    /// # Errors
    /// An unreadable, too large, damaged or foreign file.
    pub fn open(path: &Path) -> Result<Self, NetworkError> {
        Self::read(
            &mut File::open(path).map_err(|source| unreadable(path, source))?,
            path,
        )
    }

    pub(super) fn read(open: &mut File, path: &Path) -> Result<Self, NetworkError> {
        let mut bytes = Vec::new();
        let limited = open.take(TABLE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        let read = limited.map_err(|source| unreadable(path, source))?;
        if read as u64 > TABLE_FILE_BYTES_MAX {
            let source = std::io::Error::other("larger than 256 MiB, so no ASN table");
            return Err(unreadable(path, source));
        }
        if file::is_ours(&bytes) {
            file::decode(&bytes, path)
        } else {
            mmdb::decode(bytes, path)
        }
    }

    /// Number of the autonomous system that announces `address`, 0 where none is known.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> u32 {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.get(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.get(top_half(v6)),
        }
    }

    /// Name of the organisation that runs an autonomous system.
    #[must_use]
    pub fn organisation(&self, asn: u32) -> Option<&str> {
        self.names.get(asn)
    }

    /// What the table was made from, with the version or date of the data.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When the table was built, if its source says: a build epoch as the .mmdb form has it, or the
    /// first date (2026-06-17, 20260617…), as versions of the data do.
    #[must_use]
    pub fn built_at(&self) -> Option<Micros> {
        built_at(&self.source)
    }

    /// Number of autonomous systems that the table knows.
    #[must_use]
    pub fn asns(&self) -> usize {
        self.names.asns.len()
    }

    /// Bytes of memory that the table holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes() + self.names.bytes() + self.source.len()
    }

    pub(super) fn from_parts(
        v4: Ranges<u32, u32>,
        v6: Ranges<u64, u32>,
        names: Names,
        source: String,
    ) -> Self {
        Self {
            v4,
            v6,
            names,
            source,
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> NetworkError {
    NetworkError::Io {
        path: path.to_owned(),
        action: "read",
        source,
    }
}

fn built_at(source: &str) -> Option<Micros> {
    if let Some((_, epoch)) = source.split_once("build epoch ") {
        let seconds: i64 = epoch.trim().parse().ok()?;
        return Some(Micros::new(seconds.saturating_mul(1_000_000)));
    }
    let words = source.split(|c: char| !c.is_ascii_digit() && c != '-');
    words.map(|word| word.replace('-', "")).find_map(|digits| {
        let (year, rest) = digits.split_at_checked(4)?;
        let (month, rest) = rest.split_at_checked(2)?;
        let day = rest.get(..2).filter(|_| year.starts_with("20"))?;
        Micros::parse(&format!("{year}-{month}-{day}T00:00:00Z"))
    })
}

/// The part of an IPv6 address by which it is looked up.
pub(super) fn top_half(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, ..] = address.segments();
    [a, b, c, d]
        .into_iter()
        .fold(0, |bits, segment| bits << 16 | u64::from(segment))
}

/// Organisations by autonomous system. Equal names are kept once.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Rising.
    pub(super) asns: Box<[u32]>,
    /// For each ASN the number of its name.
    pub(super) name_of: Box<[u32]>,
    /// For each name where it begins in `text`, and at last where the last one ends.
    pub(super) offsets: Box<[u32]>,
    pub(super) text: Box<str>,
}

impl Names {
    fn get(&self, asn: u32) -> Option<&str> {
        let at = self.asns.binary_search(&asn).ok()?;
        self.name(*self.name_of.get(at)? as usize)
            .filter(|name| !name.is_empty())
    }

    pub(super) fn name(&self, number: usize) -> Option<&str> {
        let begin = *self.offsets.get(number)? as usize;
        let end = *self.offsets.get(number + 1)? as usize;
        self.text.get(begin..end)
    }

    fn bytes(&self) -> usize {
        self.text.len()
            + size_of_val(&*self.asns)
            + size_of_val(&*self.name_of)
            + size_of_val(&*self.offsets)
    }
}

/// Collects ranges and names from a source.
#[derive(Default)]
pub(super) struct TableBuilder {
    v4: Vec<Span<u32>>,
    v6: Vec<Span<u64>>,
    organisations: BTreeMap<u32, String>,
}

impl TableBuilder {
    /// A range of IPv4, ends inclusive and in order.
    pub(super) fn add_v4(&mut self, first: u32, last: u32, asn: u32) {
        self.v4.push(Span { first, last, asn });
    }

    /// A range of IPv6 by the top halves of its ends, inclusive and in order.
    pub(super) fn add_v6(&mut self, first: u64, last: u64, asn: u32) {
        self.v6.push(Span { first, last, asn });
    }

    /// Who runs an ASN; the first name that is not empty stays. 0 is no ASN and has none.
    pub(super) fn name(&mut self, asn: u32, organisation: &str) {
        if asn != 0 {
            let name = self.organisations.entry(asn).or_default();
            if name.is_empty() {
                organisation.clone_into(name);
            }
        }
    }

    /// Number of ranges so far.
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The table, and how many ranges lay within another.
    pub(super) fn finish(self, source: String) -> Result<(AsnTable, usize), String> {
        let names = intern(&self.organisations)?;
        let (v4, overlapping_v4) = settle(self.v4);
        let (v6, overlapping_v6) = settle(self.v6);
        let table = AsnTable::from_parts(Ranges::new(&v4), Ranges::new(&v6), names, source);
        Ok((table, overlapping_v4 + overlapping_v6))
    }
}

fn intern(organisations: &BTreeMap<u32, String>) -> Result<Names, String> {
    let too_long = |_| "organisation names beyond 4 GiB".to_owned();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut text = String::new();
    let mut offsets = vec![0];
    let mut name_of = Vec::with_capacity(organisations.len());
    for name in organisations.values() {
        let fresh = u32::try_from(numbers.len()).map_err(too_long)?;
        let number = *numbers.entry(name).or_insert(fresh);
        if number == fresh {
            text.push_str(name);
            offsets.push(u32::try_from(text.len()).map_err(too_long)?);
        }
        name_of.push(number);
    }
    Ok(Names {
        asns: organisations.keys().copied().collect(),
        name_of: name_of.into_boxed_slice(),
        offsets: offsets.into_boxed_slice(),
        text: text.into_boxed_str(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asn(table: &AsnTable, address: &str) -> u32 {
        table.lookup(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_not_the_next() {
        let mut builder = TableBuilder::default();
        builder.add_v4(0x0102_0300, 0x0102_04ff, 7);
        builder.add_v6(0x2001_0db8_0000_0000, 0x2001_0db8_0000_00ff, 9);
        builder.name(7, "Seven");
        builder.name(9, "");
        let (table, overlapping) = builder.finish("test".to_owned()).unwrap();
        assert_eq!(overlapping, 0);
        let expected = [
            ("1.2.2.255", 0),
            ("1.2.3.0", 7),
            ("1.2.4.255", 7),
            ("1.2.5.0", 0),
            ("0.0.0.0", 0),
            ("255.255.255.255", 0),
            ("::ffff:1.2.3.4", 7),
            ("2001:db7:ffff:ffff:ffff::", 0),
            ("2001:db8::", 9),
            ("2001:db8:0:ff:ffff:ffff:ffff:ffff", 9),
            ("2001:db8:0:100::", 0),
            ("::", 0),
            ("ffff::", 0),
        ];
        for (address, number) in expected {
            assert_eq!(asn(&table, address), number, "{address}");
        }
        assert_eq!(table.organisation(7), Some("Seven"));
        assert_eq!((table.organisation(9), table.organisation(8)), (None, None));
    }

    #[test]
    fn a_source_may_say_when_the_table_was_built() {
        let day = |text: &str| Micros::parse(&format!("{text}T00:00:00Z"));
        for (source, built) in [
            ("npm @ip-location-db/asn 2.3.2026061719", day("2026-06-17")),
            ("DB-IP ASN Lite 2026-11-01", day("2026-11-01")),
            ("GeoLite2-ASN, build epoch 1781654400", day("2026-06-17")),
            ("20269999, then 2026-02-03", day("2026-02-03")),
            ("ours", None),
            ("GeoLite2-ASN, build epoch x", None),
        ] {
            assert_eq!(built_at(source), built, "{source}");
        }
        assert!(AsnTable::shipped().unwrap().built_at().is_some());
    }

    #[test]
    fn the_shipped_table_knows_the_networks_that_the_rules_speak_of() {
        let table = AsnTable::shipped().unwrap();
        assert!(
            table.memory_bytes() < 12 << 20,
            "{} bytes",
            table.memory_bytes()
        );
        assert_eq!(asn(&table, "40.94.16.1"), 8075);
        assert_eq!(asn(&table, "85.158.136.1"), 21345);
        assert_eq!(asn(&table, "104.28.28.1"), 13335);
        assert_eq!(asn(&table, "10.0.0.1"), 0);
        for address in ["148.163.128.1", "67.231.144.1", "205.220.160.1"] {
            let name = table.organisation(asn(&table, address));
            assert_eq!(name, Some("Proofpoint, Inc."), "{address}");
        }
        assert_ne!(asn(&table, "2a01:111:f400::1"), 0);
    }
}
