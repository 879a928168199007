//! Writes the smallest databases in MaxMind's form that the tests need: IPv6 trees with 24-bit
//! records, maps of texts and numbers.

use std::net::Ipv6Addr;

/// A value of a record.
pub(super) enum Value {
    Short(u16),
    Number(u32),
    Long(u64),
    Text(&'static str),
}

/// A network (IPv4 as `::a.b.c.d` with 96 added to its length) and the fields of its record.
pub(super) type Network = (&'static str, usize, Vec<(&'static str, Value)>);

pub(super) fn database(database_type: &'static str, networks: &[Network]) -> Vec<u8> {
    // Records of a node: 0 is empty, a positive number a node, a negative one data at -n - 1.
    let mut tree: Vec<[i64; 2]> = vec![[0, 0]];
    let mut data = Vec::new();
    for (address, length, record) in networks {
        let bits = address.parse::<Ipv6Addr>().unwrap().to_bits();
        let side = |depth: usize| usize::from(bits >> (127 - depth) & 1 == 1);
        let mut node = 0;
        for depth in 0..length - 1 {
            if tree[node][side(depth)] == 0 {
                tree[node][side(depth)] = i64::try_from(tree.len()).unwrap();
                tree.push([0, 0]);
            }
            node = usize::try_from(tree[node][side(depth)]).unwrap();
        }
        tree[node][side(length - 1)] = -1 - i64::try_from(data.len()).unwrap();
        put_map(&mut data, record);
    }
    let nodes = u32::try_from(tree.len()).unwrap();
    let mut bytes = Vec::new();
    for record in tree.into_iter().flatten() {
        let pointer = match record {
            0 => i64::from(nodes),
            below if below < 0 => i64::from(nodes) + 16 - below - 1,
            node => node,
        };
        bytes.extend(&u32::try_from(pointer).unwrap().to_be_bytes()[1..]);
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let about = [
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1_700_000_000)),
        ("database_type", Value::Text(database_type)),
        ("ip_version", Value::Short(6)),
        ("node_count", Value::Number(nodes)),
        ("record_size", Value::Short(24)),
    ];
    put_map(&mut bytes, &about);
    // The map has two more entries than `put_map` has counted: an empty map and an empty array.
    let map = bytes
        .windows(11)
        .position(|bytes| bytes == b"MaxMind.com")
        .unwrap()
        + 11;
    bytes[map] += 2;
    put_text(&mut bytes, "description");
    bytes.push(0xe0);
    put_text(&mut bytes, "languages");
    bytes.extend([0x00, 0x04]);
    bytes
}

fn put_map(to: &mut Vec<u8>, fields: &[(&str, Value)]) {
    to.push(0xe0 | u8::try_from(fields.len()).unwrap());
    for (name, value) in fields {
        put_text(to, name);
        match value {
            Value::Text(text) => put_text(to, text),
            Value::Short(number) => {
                to.push(0xa2);
                to.extend(number.to_be_bytes());
            }
            Value::Long(number) => {
                to.extend([0x08, 0x02]);
                to.extend(number.to_be_bytes());
            }
            Value::Number(number) => {
                to.push(0xc4);
                to.extend(number.to_be_bytes());
            }
        }
    }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    match length.checked_sub(29) {
        None => to.push(0x40 | length),
        Some(rest) => to.extend([0x40 | 29, rest]),
    }
    to.extend(text.as_bytes());
}
