//! Reading one value: is it a destination to track, and as what is it registered?
//!
//! Owns: the order of the reasons to leave a value alone, and the registered form.
//! Refuses: where the value came from; HTML's entities are decoded before it comes here.

use std::ops::Range;

use url::Url;

use super::tags::{Step, Walk, is_block};
use super::{Reason, TAGS_PER_LINK_MAX};

/// A destination that can be registered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// The form to register.
    pub(super) registered: String,
    /// The merge tags behind `{v1}` …, as ranges of the value that was read.
    pub(super) tags: Vec<Range<usize>>,
}

/// Reads a decoded value.
pub(super) fn read(value: &str, base_url: &str) -> Result<Destination, Reason> {
    // WHATWG: C0 controls and spaces at both ends do not count.
    let strip = |c: char| c <= ' ';
    let tail = value.trim_end_matches(strip);
    let start = tail.len() - tail.trim_start_matches(strip).len();
    if start == tail.len() {
        return Err(Reason::Empty);
    }
    let plain_start = after_scheme(tail, start)?;
    if is_tracked(tail.get(start..).unwrap_or_default(), base_url) {
        return Err(Reason::AlreadyTracked);
    }
    let tags = joined_blocks(tail, tags_behind_origin(tail, plain_start)?)?;
    if tags.len() > TAGS_PER_LINK_MAX {
        return Err(Reason::TooManyTags);
    }
    let registered = registered(tail, start, &tags);
    match Url::parse(&registered) {
        Ok(url) if url.has_host() => Ok(Destination { registered, tags }),
        _ => Err(Reason::Invalid),
    }
}

/// Where the value goes on behind `http:` or `https:`.
fn after_scheme(value: &str, start: usize) -> Result<usize, Reason> {
    let mut scheme = String::new();
    for step in Walk::new(value, start) {
        match step {
            Step::Tag(tag) if tag == (start..value.len()) => return Err(Reason::MergeTag),
            Step::Tag(_) => return Err(Reason::TagInOrigin),
            Step::Byte(at, b':') if matches!(scheme.as_str(), "http" | "https") => {
                return Ok(at + 1);
            }
            Step::Byte(_, b':') if !scheme.is_empty() => return Err(Reason::OtherScheme),
            Step::Byte(_, b'\t' | b'\n' | b'\r') => {}
            Step::Byte(_, byte)
                if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') =>
            {
                scheme.push(char::from(byte.to_ascii_lowercase()));
            }
            Step::Byte(..) => return Err(Reason::Relative),
        }
    }
    Err(Reason::Relative)
}

/// The tags of the path, query and fragment; a tag before those is refused.
fn tags_behind_origin(value: &str, from: usize) -> Result<Vec<Range<usize>>, Reason> {
    let mut tags = Vec::new();
    let mut in_host = false;
    let mut past_host = false;
    for step in Walk::new(value, from) {
        match step {
            Step::Tag(_) if !past_host => return Err(Reason::TagInOrigin),
            Step::Tag(tag) => tags.push(tag),
            Step::Byte(_, b'/' | b'\\') if !in_host => {}
            Step::Byte(_, b'/' | b'\\' | b'?' | b'#') => past_host = true,
            Step::Byte(_, b'\t' | b'\n' | b'\r') => {}
            Step::Byte(..) => in_host = true,
        }
    }
    Ok(tags)
}

/// `{{#if x}}a{{else}}b{{/if}}` is one value: apart, its tags would bring back both `a` and `b`.
/// That holds while what stands between the tags reads the same inside a value.
fn joined_blocks(value: &str, tags: Vec<Range<usize>>) -> Result<Vec<Range<usize>>, Reason> {
    let block = |tag: &Range<usize>| value.get(tag.clone()).is_some_and(is_block);
    let (Some(first), Some(last)) = (tags.iter().position(block), tags.iter().rposition(block))
    else {
        return Ok(tags);
    };
    let (before, rest) = tags.split_at(first);
    let (inside, after) = rest.split_at(last + 1 - first);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let structure = inside.windows(2).any(|pair| {
        let between = pair
            .first()
            .zip(pair.last())
            .and_then(|(a, b)| value.get(a.end..b.start));
        between.is_none_or(|between| !between.bytes().all(plain))
    });
    match inside.first().zip(inside.last()) {
        Some((start, end)) if start != end && !structure => {
            let whole = start.start..end.end;
            Ok([before, &[whole], after].concat())
        }
        _ => Err(Reason::Block),
    }
}

fn registered(value: &str, start: usize, tags: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut at = start;
    for (index, tag) in tags.iter().enumerate() {
        push_literal(&mut out, value.get(at..tag.start).unwrap_or_default());
        out.push_str(&format!("{{v{}}}", index + 1));
        at = tag.end;
    }
    push_literal(&mut out, value.get(at..).unwrap_or_default());
    out
}

/// A literal part, without the tabs and line ends that browsers remove, and with nothing that
/// could be taken for one of our placeholders.
fn push_literal(out: &mut String, literal: &str) {
    let clean: String = literal
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect();
    let safe = clean
        .replace("{v", "{%76")
        .replace("%7Bv", "%7B%76")
        .replace("%7bv", "%7b%76");
    out.push_str(&safe);
}

/// Whether a value is one of our own URLs already.
fn is_tracked(value: &str, base_url: &str) -> bool {
    let head = value.as_bytes().get(..base_url.len());
    let ours = head.is_some_and(|head| head.eq_ignore_ascii_case(base_url.as_bytes()));
    let path = value.get(base_url.len()..).unwrap_or_default();
    ours && ["/c/", "/a/", "/u/", "/o/"]
        .iter()
        .any(|kind| path.starts_with(kind))
}
