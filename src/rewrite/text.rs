//! The first pass over plain text.
//!
//! Owns: where a bare http(s) URL ends, by the rules that people who write mails expect.
//! Refuses: addresses without a scheme; a mail program that links those decides by itself.

use std::ops::Range;

use super::tags::{Step, Walk};
use super::{
    Context, DESTINATIONS_MAX, Found, LeftAlone, Reason, RewriteError, Survey, destination,
};

/// Signs that end a sentence rather than a URL.
const TRAILING: &str = ".,;:!?'\"([{";
/// The same beyond ASCII.
const TRAILING_WIDE: &str = "…”’»›。、，．；：！？）】」』》〉";

/// Finds the http(s) URLs of a plain text.
///
/// # Errors
///
/// [`RewriteError::TooMany`].
pub fn find_text(text: &str, base_url: &str) -> Result<Survey, RewriteError> {
    let mut survey = Survey {
        links: Vec::new(),
        left_alone: Vec::new(),
        pixel_at: None,
    };
    let mut at = 0;
    while let Some(start) = next_scheme(text, at) {
        let end = url_end(text, start);
        at = end.max(start + 4);
        let Some(value) = text.get(start..end) else {
            continue;
        };
        if survey.links.len() + survey.left_alone.len() == DESTINATIONS_MAX {
            return Err(RewriteError::TooMany);
        }
        let read = match begins_with_host(value) {
            true => destination::read(value, base_url),
            false => Err(Reason::Invalid),
        };
        match read {
            Ok(destination) => {
                let tag = |tag: Range<usize>| value.get(tag).unwrap_or_default().to_owned();
                survey.links.push(Found {
                    range: start..end,
                    context: Context::Text,
                    registered: destination.registered,
                    values: destination.tags.into_iter().map(tag).collect(),
                });
            }
            // `https://` alone is a word of the text, not a destination that was missed.
            Err(Reason::Invalid) => {}
            Err(reason) => {
                let value = value.to_owned();
                survey.left_alone.push(LeftAlone {
                    range: start..end,
                    value,
                    reason,
                });
            }
        }
    }
    Ok(survey)
}

/// Where the next `http://` or `https://` begins that is not the end of a longer word.
fn next_scheme(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let starts = |at: usize, scheme: &str| {
        bytes
            .get(at..at + scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    let slashes = |at: &usize| {
        matches!(bytes.get(*at), Some(b'h' | b'H'))
            && (starts(*at, "http://") || starts(*at, "https://"))
    };
    let free = |at: &usize| {
        let before = text.get(..*at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    (from..bytes.len()).filter(slashes).find(free)
}

/// A host begins with a letter, a digit, a bracket or a sign beyond ASCII; or it is a merge tag,
/// which is judged elsewhere.
fn begins_with_host(url: &str) -> bool {
    let host = url
        .split_once("//")
        .and_then(|(_, rest)| rest.chars().next());
    host.is_some_and(|c| !c.is_ascii() || c.is_alphanumeric() || "[{%*<$".contains(c))
}

/// Where the URL that begins at `start` ends.
fn url_end(text: &str, start: usize) -> usize {
    // What stands right before a URL to set it off ends it too: 'https://…', *https://…*.
    let before = start
        .checked_sub(1)
        .and_then(|at| text.as_bytes().get(at))
        .copied();
    let fence = before.filter(|byte| matches!(byte, b'\'' | b'*'));
    let mut open = Vec::new();
    let (mut end, mut tag_end) = (start, start);
    for step in Walk::new(text, start) {
        match step {
            Step::Tag(tag) => (end, tag_end) = (tag.end, tag.end),
            Step::Byte(at, byte) => {
                let balanced = match byte {
                    b'(' => push(&mut open, b')'),
                    b'[' => push(&mut open, b']'),
                    b'{' => push(&mut open, b'}'),
                    b')' | b']' | b'}' => open.pop() == Some(byte),
                    _ => true,
                };
                if !balanced || fence == Some(byte) || ends_url(text, at, byte) {
                    break;
                }
                end = at + 1;
            }
        }
    }
    let url = text.get(start..end).unwrap_or_default();
    tag_end.max(start + url.trim_end_matches(is_trailing).len())
}

fn is_trailing(c: char) -> bool {
    TRAILING.contains(c) || TRAILING_WIDE.contains(c)
}

fn push(open: &mut Vec<u8>, close: u8) -> bool {
    open.push(close);
    true
}

/// White space, controls and the signs that no URL holds.
fn ends_url(text: &str, at: usize, byte: u8) -> bool {
    if byte.is_ascii() {
        return byte.is_ascii_whitespace()
            || byte.is_ascii_control()
            || matches!(byte, b'<' | b'>' | b'"' | b'`');
    }
    let c = text.get(at..).and_then(|rest| rest.chars().next());
    c.is_some_and(|c| c.is_whitespace() || c.is_control() || c == '｜')
}
