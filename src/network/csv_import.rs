//! Reads the CSV files of ip-location-db (`first,last,asn,organisation`, ends inclusive, addresses
//! as text or as decimal numbers, no header) into a table. Rows may come in any order and overlap
//! (the published IPv4 file has a few that do): the finer range decides, see `ranges`. A row that
//! cannot be read refuses the whole file, since a table with holes would misjudge silently.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::str::FromStr;

use super::error::NetworkError;
use super::table::TableBuilder;

/// Reads one file and hands each row on. Gives the number of rows.
fn import(
    path: &Path,
    mut add: impl FnMut(&csv::StringRecord) -> Result<(), String>,
) -> Result<usize, NetworkError> {
    let refuse = |line, problem| NetworkError::Csv {
        path: path.to_owned(),
        line,
        problem,
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(path)
        .map_err(|error| failure(path, error))?;
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader
        .read_record(&mut record)
        .map_err(|error| failure(path, error))?
    {
        let line = record.position().map_or(0, csv::Position::line);
        add(&record).map_err(|problem| refuse(line, problem))?;
        rows += 1;
    }
    if rows == 0 {
        return Err(refuse(1, "the file has no rows".to_owned()));
    }
    Ok(rows)
}

fn failure(path: &Path, error: csv::Error) -> NetworkError {
    let line = error.position().map_or(0, csv::Position::line);
    let problem = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => NetworkError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        },
        _ => NetworkError::Csv {
            path: path.to_owned(),
            line,
            problem,
        },
    }
}

/// Adds the rows of an IPv4 file and gives their number.
pub(super) fn import_v4(path: &Path, to: &mut TableBuilder) -> Result<usize, NetworkError> {
    import(path, |record| {
        let row: Row<u32> = row(record, |text| {
            parse::<u32, Ipv4Addr>(text, Ipv4Addr::to_bits)
        })?;
        to.add_v4(row.first, row.last, row.asn);
        to.name(row.asn, row.organisation);
        Ok(())
    })
}

/// Adds the rows of an IPv6 file and gives their number.
pub(super) fn import_v6(path: &Path, to: &mut TableBuilder) -> Result<usize, NetworkError> {
    import(path, |record| {
        let row: Row<u128> = row(record, |text| {
            parse::<u128, Ipv6Addr>(text, Ipv6Addr::to_bits)
        })?;
        let top_half = |bits: u128| super::table::top_half(Ipv6Addr::from_bits(bits));
        to.add_v6(top_half(row.first), top_half(row.last), row.asn);
        to.name(row.asn, row.organisation);
        Ok(())
    })
}

struct Row<'a, N> {
    first: N,
    last: N,
    asn: u32,
    organisation: &'a str,
}

fn row<N: Ord>(
    record: &csv::StringRecord,
    address: impl Fn(&str) -> Option<N>,
) -> Result<Row<'_, N>, String> {
    let fields: Vec<&str> = record.iter().collect();
    let [first, last, asn, organisation] = fields[..] else {
        return Err(format!("{} fields instead of 4", fields.len()));
    };
    let known = |text| address(text).ok_or_else(|| not(text, "an address of this file's family"));
    let (first_bits, last_bits) = (known(first)?, known(last)?);
    if first_bits > last_bits {
        return Err(format!(
            "the range ends at {last}, before its start {first}"
        ));
    }
    let asn = asn.parse().map_err(|_| not(asn, "an AS number"))?;
    Ok(Row {
        first: first_bits,
        last: last_bits,
        asn,
        organisation: organisation.trim(),
    })
}

/// An address as the number it is, or as text.
fn parse<N: FromStr, A: FromStr>(text: &str, bits: impl Fn(A) -> N) -> Option<N> {
    text.parse::<N>()
        .ok()
        .or_else(|| text.parse::<A>().ok().map(bits))
}

fn not(text: impl Display, what: &str) -> String {
    format!("`{text:.60}` is not {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::table::AsnTable;

    fn import_text(v4: &str, v6: &str) -> Result<AsnTable, NetworkError> {
        let folder = tempfile::tempdir().unwrap();
        let (path_v4, path_v6) = (folder.path().join("v4.csv"), folder.path().join("v6.csv"));
        std::fs::write(&path_v4, v4).unwrap();
        std::fs::write(&path_v6, v6).unwrap();
        let mut builder = TableBuilder::default();
        import_v4(&path_v4, &mut builder)?;
        import_v6(&path_v6, &mut builder)?;
        Ok(builder.finish("test".to_owned()).unwrap().0)
    }

    const V6: &str = "2001:200::,2001:200:1b9:ffff:ffff:ffff:ffff:ffff,2500,WIDE Project\n";

    #[test]
    fn text_and_numbers_give_the_same_table() {
        let text = import_text("1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n", V6).unwrap();
        let numbers = import_text(
            "16777216,16777471,13335,\"Cloudflare, Inc.\"\n",
            "42540528726795050063891204319802818560,42540528727329395276160870415022948351,2500,\
             WIDE Project\n",
        )
        .unwrap();
        for table in [text, numbers] {
            assert_eq!(table.lookup("1.0.0.255".parse().unwrap()), 13335);
            assert_eq!(table.lookup("1.0.1.0".parse().unwrap()), 0);
            assert_eq!(table.lookup("2001:200:1b9:ffff::1".parse().unwrap()), 2500);
            assert_eq!(table.lookup("2001:200:1ba::".parse().unwrap()), 0);
            assert_eq!(table.organisation(13335), Some("Cloudflare, Inc."));
        }
    }

    #[test]
    fn a_bad_row_refuses_the_file_and_names_the_line() {
        let bad = [
            "1.0.0.0,1.0.0.255,13335\n",
            "1.0.0.9,1.0.0.1,1,x\n",
            "1.0.0,1.0.0.1,1,x\n",
            "2001::,2001::1,1,x\n",
            "1.0.0.0,4294967296,1,x\n",
            "1.0.0.0,1.0.0.1,AS1,x\n",
        ];
        for row in bad {
            let error = import_text(&format!("1.0.0.0,1.0.0.1,1,ok\n{row}"), V6).unwrap_err();
            assert!(error.to_string().contains("v4.csv, line 2: "), "{error}");
        }
        assert!(
            import_text("", V6)
                .unwrap_err()
                .to_string()
                .contains("no rows")
        );
    }
}
