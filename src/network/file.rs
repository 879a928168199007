//! The shipped form of the ASN table, `geoip/asn.cupel`, small enough to be tracked in git. The
//! same table always gives the same bytes with the same deflate library. A file that is cut short,
//! damaged, longer than it says or of another version is refused; no length in it is believed
//! before it has been compared with what is there.
//!
//! Numbers are little-endian, `varint` is LEB128 of up to 64 bits.
//!
//! ```text
//! file     = magic "CUPELASN" | version u16 = 1 | payload bytes u32 | raw deflate of payload
//!          | CRC32C u32 of all before
//! payload  = source | names | segments of IPv4 | segments of IPv6
//! source   = varint bytes | UTF-8
//! names    = varint ASNs | per ASN: varint step from the one before (the first from 0)
//!          | per ASN: varint 0 for a new name, else how many names back it stands
//!          | varint names | per name: varint bytes | all names as UTF-8
//! segments = varint count | per segment but the last: shape u8
//!          | per shape of 128 and more: varint odd part
//!          | high, middle and low byte of each segment's ASN index, as three columns
//! ```
//!
//! The first segment starts at 0, each next one where the one before ends, the last one ends with
//! the address space. A length is `odd << (shape & 127)`, with odd part 1 for shapes below 128;
//! IPv6 counts in /64. ASN index 0 means that nobody announces the segment, n the n-th ASN.

use std::io::{Read as _, Write as _};
use std::path::Path;

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use super::error::NetworkError;
use super::file_payload::{Cursor, table};
use super::ranges::{Key, Ranges};
use super::table::{AsnTable, Names};

const MAGIC: &[u8] = b"CUPELASN";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 14;
const CHECKSUM_BYTES: usize = 4;
/// Largest payload, several times that of the whole internet.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Mark of a length that is no power of two.
pub(super) const SHAPE_ODD: u8 = 128;

/// Whether there is a file that was made by [`super::build()`], as its beginning tells.
#[must_use]
pub fn is_table(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && is_ours(&begin)
}

/// Whether a file says that it is of this form.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The file's bytes for a table.
///
/// Fails for tables beyond the limits of the form: more than 16 million ASNs, or a payload of
/// more than 64 MiB.
pub(super) fn encode(table: &AsnTable) -> Result<Vec<u8>, String> {
    let mut payload = Vec::new();
    put_text(&mut payload, table.source());
    put_names(&mut payload, &table.names);
    put_segments(&mut payload, &table.v4, &table.names.asns)?;
    put_segments(&mut payload, &table.v6, &table.names.asns)?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err("the table is larger than its file form allows".to_owned());
    }
    let payload_bytes = u32::try_from(payload.len()).map_err(|error| error.to_string())?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(payload_bytes.to_le_bytes());
    let mut deflate = DeflateEncoder::new(bytes, Compression::best());
    let written = deflate.write_all(&payload).and_then(|()| deflate.finish());
    let mut bytes = written.map_err(|error| error.to_string())?;
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    Ok(bytes)
}

fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            to.push(low & 127);
            return;
        }
        to.push(low | 128);
    }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_varint(to, text.len() as u64);
    to.extend(text.as_bytes());
}

fn put_names(to: &mut Vec<u8>, names: &Names) {
    put_varint(to, names.asns.len() as u64);
    let mut before = 0;
    for asn in &names.asns {
        put_varint(to, u64::from(asn - before));
        before = *asn;
    }
    let mut fresh = 0;
    for number in &names.name_of {
        put_varint(to, u64::from(fresh - number));
        fresh += u32::from(fresh == *number);
    }
    put_varint(to, u64::from(fresh));
    for (begin, end) in names.offsets.iter().zip(names.offsets.iter().skip(1)) {
        put_varint(to, u64::from(end - begin));
    }
    to.extend(names.text.as_bytes());
}

fn put_segments<K: Key + Into<u64>>(
    to: &mut Vec<u8>,
    ranges: &Ranges<K, u32>,
    asns: &[u32],
) -> Result<(), String> {
    put_varint(to, ranges.iter().len() as u64);
    let mut odds = Vec::new();
    for ((start, _), (next, _)) in ranges.iter().zip(ranges.iter().skip(1)) {
        let length: u64 = next.into() - start.into();
        let zeros = u8::try_from(length.trailing_zeros()).map_err(|error| error.to_string())?;
        if length.is_power_of_two() {
            to.push(zeros);
        } else {
            to.push(SHAPE_ODD | zeros);
            put_varint(&mut odds, length >> zeros);
        }
    }
    to.extend(odds);
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for (_, asn) in ranges.iter() {
        let index = match asn {
            0 => 0,
            _ => {
                1 + asns
                    .binary_search(&asn)
                    .map_err(|_| format!("AS{asn} is not listed"))?
            }
        };
        let [low, middle, high, 0, ..] = index.to_le_bytes() else {
            return Err("more than 16 million autonomous systems".to_owned());
        };
        for (column, byte) in columns.iter_mut().zip([high, middle, low]) {
            column.push(byte);
        }
    }
    to.extend(columns.concat());
    Ok(())
}

/// A table from the file's bytes; `path` is named in errors.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<AsnTable, NetworkError> {
    payload(bytes)
        .and_then(|payload| table(&payload))
        .map_err(|problem| NetworkError::Table {
            path: path.to_owned(),
            problem,
        })
}

/// Checks the frame around the payload and inflates it.
fn payload(bytes: &[u8]) -> Result<Vec<u8>, String> {
    if !is_ours(bytes) {
        return Err("not an ASN table of this program".to_owned());
    }
    let mut header = Cursor(bytes.get(MAGIC.len()..).unwrap_or_default());
    let version = u16::from_le_bytes(header.array()?);
    if version != VERSION {
        return Err(format!(
            "format version {version}, this program reads {VERSION}"
        ));
    }
    let payload_bytes = u32::from_le_bytes(header.array()?) as usize;
    let Some((framed, &checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err("cut short".to_owned());
    };
    if crc32c::crc32c(framed) != u32::from_le_bytes(checksum) {
        return Err("wrong checksum, so cut short or changed".to_owned());
    }
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(format!(
            "a payload of {payload_bytes} bytes is beyond all tables"
        ));
    }
    let deflated = framed.get(HEADER_BYTES..).unwrap_or_default();
    let mut inflate = DeflateDecoder::new(deflated).take(payload_bytes as u64 + 1);
    let mut payload = Vec::with_capacity(payload_bytes);
    inflate
        .read_to_end(&mut payload)
        .map_err(|error| error.to_string())?;
    if payload.len() != payload_bytes {
        return Err("the payload is not as long as the header says".to_owned());
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::table::TableBuilder;

    fn small() -> Vec<u8> {
        let mut builder = TableBuilder::default();
        builder.add_v4(0x0100_0000, 0x0100_00ff, 13335);
        builder.add_v4(0x0100_0400, 0x0100_09ff, 38803);
        builder.add_v4(0xffff_ff00, u32::MAX, 714);
        builder.add_v6(0x2001_0200_0000_0000, 0x2001_0200_01b9_ffff, 2500);
        builder.name(13335, "Cloudflare, Inc.");
        builder.name(38803, "Größe");
        builder.name(714, "");
        builder.name(2500, "Größe");
        encode(&builder.finish("test 1".to_owned()).unwrap().0).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<AsnTable, NetworkError> {
        decode(bytes, Path::new("small.cupel"))
    }

    fn framed(payload: &[u8], payload_bytes: u32) -> Vec<u8> {
        let mut bytes = [MAGIC, &VERSION.to_le_bytes(), &payload_bytes.to_le_bytes()].concat();
        let mut deflate = DeflateEncoder::new(&mut bytes, Compression::best());
        deflate.write_all(payload).unwrap();
        deflate.finish().unwrap();
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    #[test]
    fn what_was_written_is_read_and_the_bytes_are_the_same_each_time() {
        let bytes = small();
        let table = read(&bytes).unwrap();
        assert_eq!(encode(&table).unwrap(), bytes);
        assert_eq!(table.source(), "test 1");
        let asn = |address: &str| table.lookup(address.parse().unwrap());
        assert_eq!(
            [asn("1.0.0.255"), asn("1.0.1.0"), asn("1.0.9.255")],
            [13335, 0, 38803]
        );
        assert_eq!(
            [asn("255.255.255.255"), asn("2001:200:1b9:ffff::")],
            [714, 2500]
        );
        assert_eq!(table.organisation(2500), Some("Größe"));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = small();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert!(read(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_hostile_payload_under_a_right_checksum_neither_panics_nor_takes_memory() {
        let whole = payload(&small()).unwrap();
        for at in 0..whole.len() {
            let cut = &whole[..at];
            assert!(
                read(&framed(cut, u32::try_from(at).unwrap())).is_err(),
                "cut at {at}"
            );
            for value in [0, 1, 127, 128, 255] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(table) = table(&changed) {
                    let named = table
                        .names
                        .asns
                        .iter()
                        .filter_map(|asn| table.organisation(*asn));
                    assert!(named.count() <= table.asns(), "byte {at} as {value}");
                }
            }
        }
        assert!(read(&framed(&whole, u32::MAX)).is_err());
        assert!(read(&framed(&whole, 1)).is_err());
    }
}
