//! Fills the slots of a templated destination (`{v1}`, `{v2}`, …) with the values of the query.
//!
//! A value is decoded once and encoded once, so it can end neither its place in the URL nor the
//! URL. One that could change where the URL leads (dots alone, a slash), or is too long, is left
//! empty: the redirect goes on.

use std::borrow::Cow;
use std::fmt::Write;

use crate::domain::destination::Destination;

/// Longest value in bytes, decoded.
pub const VALUE_BYTES_MAX: usize = 256;

/// The URL to redirect to.
#[must_use]
pub fn fill<'a>(destination: &'a Destination, query: Option<&str>) -> Cow<'a, str> {
    if destination.slots() == 0 {
        return Cow::Borrowed(destination.as_str());
    }
    let query = query.unwrap_or_default();
    let mut out = String::with_capacity(destination.as_str().len() + 64);
    let mut rest = destination.as_str();
    while let Some((before, after)) = rest.split_once("{v") {
        out.push_str(before);
        match after
            .split_once('}')
            .and_then(|(n, after)| Some((slot(n)?, after)))
        {
            Some((n, after)) => {
                encode(&mut out, &value(query, n));
                rest = after;
            }
            None => {
                out.push_str("{v");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn slot(text: &str) -> Option<u8> {
    text.parse().ok().filter(|n| (1..=9).contains(n))
}

/// The decoded value of `v{n}`; the first one counts.
fn value(query: &str, n: u8) -> Vec<u8> {
    let raw = parameter(query, &format!("v{n}")).unwrap_or_default();
    let decoded = decode(raw);
    let harmless = decoded.len() <= VALUE_BYTES_MAX
        && (decoded.is_empty() || decoded.iter().any(|byte| *byte != b'.'))
        && decoded
            .iter()
            .all(|byte| !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\'));
    if harmless { decoded } else { Vec::new() }
}

/// The first value of a query parameter, as it came.
#[must_use]
pub fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value)
}

/// Percent-decodes once; a `%` that begins no escape stands for itself, and so does `+`: senders
/// put addresses here, and those hold plus signs.
#[must_use]
pub fn decode(raw: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)));
        match digits.flatten() {
            Some((high, low)) => {
                out.push(high << 4 | low);
                bytes = ahead;
            }
            None => out.push(byte),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn encode(out: &mut String, value: &[u8]) {
    for byte in value {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(*byte));
        } else if write!(out, "%{byte:02X}").is_err() {
            // Writing to a string does not fail.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once_and_encoded_once() {
        let url = Destination::parse("https://a.example/p/{v1}?e={v2}&x=1#{v1}").unwrap();
        for (query, filled) in [
            ("v1=a&v2=b", "https://a.example/p/a?e=b&x=1#a"),
            (
                "v2=a%2Bb%40c.d&v1=%25",
                "https://a.example/p/%25?e=a%2Bb%40c.d&x=1#%25",
            ),
            ("v2=a+b@c.d", "https://a.example/p/?e=a%2Bb%40c.d&x=1#"),
            ("v1=..&v2=%0d%0aX:%20y", "https://a.example/p/?e=&x=1#"),
            ("v1=%2e%2E&v2=a/b", "https://a.example/p/?e=&x=1#"),
            ("v1=%&v2=%zz", "https://a.example/p/%25?e=%25zz&x=1#%25"),
            (
                "v1=a&v1=b&v2={v1}",
                "https://a.example/p/a?e=%7Bv1%7D&x=1#a",
            ),
            ("", "https://a.example/p/?e=&x=1#"),
        ] {
            assert_eq!(fill(&url, Some(query)), filled, "{query}");
        }
        let long = format!("v1={}", "a".repeat(257));
        assert_eq!(fill(&url, Some(&long)), "https://a.example/p/?e=&x=1#");
        let plain = Destination::parse("https://a.example/?v1=x").unwrap();
        assert_eq!(fill(&plain, Some("v1=y")), "https://a.example/?v1=x");
    }
}
