//! Makes a table from published CSV files.

use std::path::Path;

use super::csv_import::{import_v4, import_v6};
use super::error::NetworkError;
use super::file;
use super::table::TableBuilder;

/// Longest text that says where a table is from.
const SOURCE_BYTES_MAX: usize = 200;

/// A table as its file holds it, and what went into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Rows of the IPv4 file.
    pub ranges_v4: usize,
    /// Rows of the IPv6 file.
    pub ranges_v6: usize,
    /// Rows that lay within another, where the finer one decides. IPv6 rows that share a /64
    /// count here too.
    pub overlapping: usize,
    /// Autonomous systems.
    pub asns: usize,
    /// The whole file.
    pub file: Vec<u8>,
}

/// Makes a table from an IPv4 and an IPv6 file of ip-location-db. `source` is one line that names
/// the data and its version, as later shown. The same input gives the same bytes.
///
/// # Errors
/// An unreadable file, a row that cannot be read, an empty or long `source`, too many ranges.
pub fn build(v4_csv: &Path, v6_csv: &Path, source: &str) -> Result<Built, NetworkError> {
    let refuse = |problem: String| NetworkError::Build { problem };
    let source = source.trim();
    if source.is_empty() || source.len() > SOURCE_BYTES_MAX || source.contains(char::is_control) {
        let problem = format!("the source must be one line of 1 to {SOURCE_BYTES_MAX} bytes");
        return Err(refuse(problem));
    }
    let mut builder = TableBuilder::default();
    let ranges_v4 = import_v4(v4_csv, &mut builder)?;
    let ranges_v6 = import_v6(v6_csv, &mut builder)?;
    let (table, overlapping) = builder.finish(source.to_owned()).map_err(refuse)?;
    let file = file::encode(&table).map_err(refuse)?;
    Ok(Built {
        ranges_v4,
        ranges_v6,
        overlapping,
        asns: table.asns(),
        file,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::network::AsnTable;

    /// Rows that are nested, touching, crossing and at both ends, from a fixed generator.
    fn rows() -> Vec<(u32, u32, u32)> {
        let mut state = 7_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            u32::try_from(state >> 32).unwrap()
        };
        let mut rows = vec![(0, 255, 1), (u32::MAX - 255, u32::MAX, 2)];
        for asn in 3..3000 {
            let first = next() & 0xff00_ff00;
            let last = first.saturating_add((1 << (next() % 20)) - 1);
            rows.push((first, last, asn));
        }
        rows.sort_by_key(|row| (row.0, u32::MAX - row.1));
        rows
    }

    fn naive(rows: &[(u32, u32, u32)], key: u32) -> u32 {
        let covering = rows.iter().rev().find(|row| row.0 <= key && key <= row.1);
        covering.map_or(0, |row| row.2)
    }

    #[test]
    fn a_built_table_agrees_with_a_scan_of_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let rows = rows();
        let lines = rows
            .iter()
            .map(|row| format!("{},{},{},Net {}\n", row.0, row.1, row.2, row.2));
        fs::write(path("v4.csv"), lines.collect::<String>()).unwrap();
        fs::write(path("v6.csv"), "2001:200::,2001:200::1,2500,WIDE\n").unwrap();
        let make = || build(&path("v4.csv"), &path("v6.csv"), "test").unwrap();
        let built = make();
        assert_eq!(
            (built.ranges_v4, built.ranges_v6, built.asns),
            (2999, 1, 2999)
        );
        assert_eq!(make(), built, "the same input gives the same bytes");
        fs::write(path("table"), &built.file).unwrap();
        let table = AsnTable::open(&path("table")).unwrap();
        for row in &rows {
            let middle = row.0 + (row.1 - row.0) / 2;
            for key in [
                row.0.saturating_sub(1),
                row.0,
                middle,
                row.1,
                row.1.saturating_add(1),
            ] {
                let address = std::net::Ipv4Addr::from_bits(key);
                assert_eq!(table.lookup(address.into()), naive(&rows, key), "{address}");
                let mapped = address.to_ipv6_mapped();
                assert_eq!(table.lookup(mapped.into()), naive(&rows, key), "{mapped}");
            }
        }
        assert_eq!(table.organisation(2999), Some("Net 2999"));
    }

    #[test]
    fn rows_and_sources_that_cannot_be_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bad = folder.path().join("bad.csv");
        fs::write(&bad, "x\n").unwrap();
        assert!(build(&bad, &bad, "test").is_err());
        fs::write(&bad, "").unwrap();
        for source in ["two\nlines", " "] {
            assert!(build(&bad, &bad, source).is_err(), "{source:?}");
        }
    }
}
