//! Builds the ASN table from a database in MaxMind's form: GeoLite2-ASN, DB-IP ASN Lite, IPinfo
//! and others with the same fields. The file is read whole before, never mapped: it may be
//! overwritten in place while the program runs. Refuses broken files, trees that unfold without
//! end, and databases without AS numbers (country, city).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

use super::error::NetworkError;
use super::table::{AsnTable, TableBuilder, top_half};

/// Networks visited, empty ones counted. A tree of shared nodes can unfold to 2^128 of them.
const NETWORKS_MAX: usize = 32_000_000;
/// Ranges kept, after joining neighbours of one ASN.
const RANGES_MAX: usize = 8_000_000;

/// What the databases call the same two things.
#[derive(serde::Deserialize)]
struct Record<'a> {
    autonomous_system_number: Option<Number>,
    asn: Option<Number>,
    #[serde(borrow)]
    autonomous_system_organization: Option<Cow<'a, str>>,
    #[serde(borrow)]
    as_organization: Option<Cow<'a, str>>,
    #[serde(borrow)]
    as_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// `13335`, `"13335"` or `"AS13335"`; an empty text is 0.
struct Number(u32);

// By hand, since an untagged enum would first copy whatever stands there, and a hostile file can
// nest that deeply enough to exhaust the stack.
impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an AS number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
        let small = u32::try_from(number);
        small
            .map(Number)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        if text.is_empty() {
            return Ok(Number(0));
        }
        let digits = text.strip_prefix("AS").unwrap_or(text).parse();
        digits
            .map(Number)
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl Record<'_> {
    /// The AS number, 0 if there is none.
    fn asn(&self) -> u32 {
        let numbers = [&self.autonomous_system_number, &self.asn];
        numbers
            .into_iter()
            .flatten()
            .next()
            .map_or(0, |number| number.0)
    }

    fn organisation(&self) -> &str {
        let names = [
            &self.autonomous_system_organization,
            &self.as_organization,
            &self.as_name,
            &self.name,
        ];
        names
            .into_iter()
            .flatten()
            .next()
            .map_or("", |name| name.trim())
    }
}

/// A table from the file's bytes; `path` is named in errors.
pub(super) fn decode(bytes: Vec<u8>, path: &Path) -> Result<AsnTable, NetworkError> {
    table(bytes).map_err(|problem| NetworkError::Mmdb {
        path: path.to_owned(),
        problem,
    })
}

fn table(bytes: Vec<u8>) -> Result<AsnTable, String> {
    let text = |error: maxminddb::MaxMindDbError| error.to_string();
    let reader = maxminddb::Reader::from_source(bytes).map_err(text)?;
    let about = reader.metadata();
    let source = format!("{}, build epoch {}", about.database_type, about.build_epoch);
    let mut found = Found::default();
    let every = maxminddb::WithinOptions::default().include_networks_without_data();
    for (visited, result) in reader.networks(every).map_err(text)?.enumerate() {
        if visited >= NETWORKS_MAX || found.builder.len() >= RANGES_MAX {
            return Err("more networks than any ASN database has".to_owned());
        }
        let result = result.map_err(text)?;
        let Some(offset) = result.offset() else {
            continue;
        };
        let asn = match found.asn_at.get(&offset) {
            Some(asn) => *asn,
            None => {
                let record: Option<Record<'_>> = result.decode().map_err(text)?;
                found.record(offset, record.as_ref())
            }
        };
        if asn != 0 {
            let network = result.network().map_err(text)?;
            found.range(network.network(), network.broadcast(), asn);
        }
    }
    found.finish(&about.database_type, source)
}

/// What the walk has found so far. Neighbours of one ASN are joined before they are kept.
#[derive(Default)]
struct Found {
    builder: TableBuilder,
    asn_at: HashMap<usize, u32>,
    open_v4: Option<(u32, u32, u32)>,
    open_v6: Option<(u64, u64, u32)>,
}

impl Found {
    fn record(&mut self, offset: usize, record: Option<&Record<'_>>) -> u32 {
        let asn = record.map_or(0, Record::asn);
        if let Some(record) = record {
            self.builder.name(asn, record.organisation());
        }
        self.asn_at.insert(offset, asn);
        asn
    }

    fn range(&mut self, first: IpAddr, last: IpAddr, asn: u32) {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let (first, last) = (first.to_bits(), last.to_bits());
                match &mut self.open_v4 {
                    Some(open) if open.2 == asn && open.1.checked_add(1) == Some(first) => {
                        open.1 = last;
                    }
                    open => {
                        if let Some((first, last, asn)) = open.replace((first, last, asn)) {
                            self.builder.add_v4(first, last, asn);
                        }
                    }
                }
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let (first, last) = (top_half(first), top_half(last));
                match &mut self.open_v6 {
                    Some(open) if open.2 == asn && first <= open.1.saturating_add(1) => {
                        open.1 = last;
                    }
                    open => {
                        if let Some((first, last, asn)) = open.replace((first, last, asn)) {
                            self.builder.add_v6(first, last, asn);
                        }
                    }
                }
            }
            // A network's two ends are of one family.
            _ => {}
        }
    }

    fn finish(mut self, database_type: &str, source: String) -> Result<AsnTable, String> {
        if let Some((first, last, asn)) = self.open_v4 {
            self.builder.add_v4(first, last, asn);
        }
        if let Some((first, last, asn)) = self.open_v6 {
            self.builder.add_v6(first, last, asn);
        }
        if self.builder.len() == 0 {
            return Err(format!(
                "a `{database_type:.60}` database without AS numbers"
            ));
        }
        Ok(self.builder.finish(source)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mmdb_fixture::{Value, database};
    use super::*;
    use Value::{Number as N, Text as T};

    fn read(bytes: Vec<u8>) -> Result<AsnTable, NetworkError> {
        decode(bytes, Path::new("small.mmdb"))
    }

    fn geolite() -> Vec<u8> {
        let record = |asn, name| {
            vec![
                ("autonomous_system_number", N(asn)),
                ("autonomous_system_organization", T(name)),
            ]
        };
        database(
            "GeoLite2-ASN",
            &[
                ("::1.0.0.0", 120, record(13335, "CLOUDFLARENET")),
                ("::1.0.1.0", 120, record(13335, "CLOUDFLARENET")),
                ("::1.0.4.0", 118, record(38803, "Gtelecom")),
                ("2001:200::", 32, record(2500, "WIDE")),
                ("2001:500:3::", 126, record(396_545, "fine")),
            ],
        )
    }

    #[test]
    fn the_fields_of_each_publisher_are_understood() {
        let databases = [
            geolite(),
            database(
                "ipinfo_lite",
                &[
                    (
                        "::1.0.0.0",
                        119,
                        vec![("asn", T("AS13335")), ("as_name", T("CLOUDFLARENET"))],
                    ),
                    (
                        "::1.0.4.0",
                        118,
                        vec![("asn", N(38803)), ("name", T("Gtelecom"))],
                    ),
                    ("::9.0.0.0", 104, vec![("country", T("US")), ("asn", T(""))]),
                    (
                        "2001:200::",
                        32,
                        vec![("asn", T("2500")), ("as_organization", T("WIDE"))],
                    ),
                    ("2001:500:3::", 64, vec![("asn", N(396_545))]),
                ],
            ),
        ];
        for bytes in databases {
            let table = read(bytes).unwrap();
            let asn = |address: &str| table.lookup(address.parse().unwrap());
            assert_eq!(
                [asn("0.255.255.255"), asn("1.0.0.0"), asn("1.0.1.255")],
                [0, 13335, 13335]
            );
            assert_eq!(
                [asn("1.0.2.0"), asn("1.0.4.0"), asn("1.0.8.0")],
                [0, 38803, 0]
            );
            assert_eq!([asn("::ffff:1.0.0.9"), asn("9.0.0.1")], [13335, 0]);
            assert_eq!([asn("2001:200:ffff::"), asn("2001:201::")], [2500, 0]);
            assert_eq!(asn("2001:500:3::"), 396_545);
            assert_eq!(table.organisation(13335), Some("CLOUDFLARENET"));
            assert_eq!(table.organisation(2500), Some("WIDE"));
        }
    }

    #[test]
    fn other_databases_and_other_files_are_refused() {
        let city = database(
            "GeoLite2-City",
            &[("::1.0.0.0", 120, vec![("city", T("Ghent"))])],
        );
        let error = read(city).unwrap_err().to_string();
        assert!(
            error.contains("small.mmdb") && error.contains("GeoLite2-City"),
            "{error}"
        );
        let bad = database("x", &[("::1.0.0.0", 120, vec![("asn", T("thirteen"))])]);
        assert!(read(bad).is_err());
        assert!(read(b"PK\x03\x04 something else".to_vec()).is_err());
        assert!(read(Vec::new()).is_err());
    }

    #[test]
    fn a_broken_database_is_refused_or_read_but_never_panics() {
        let bytes = geolite();
        for at in 0..bytes.len() {
            assert!(read(bytes[..at].to_vec()).is_err(), "cut at {at}");
            for value in [0, 0x20, 0x7f, 0x80, 0xe1, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Ok(table) = read(changed) {
                    assert!(table.asns() < 10, "byte {at} as {value}");
                }
            }
        }
    }
}
