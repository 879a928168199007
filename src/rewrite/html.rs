//! The first pass over HTML.
//!
//! Owns: which attribute values are destinations, their byte ranges, and the last real
//! `</body>`. Refuses: building a tree; `lol_html`'s tokenizer says where tags are, and nothing of
//! what it writes is used, since it would write a changed tag anew.
//!
//! The tokenizer reads a masked copy with a probe behind it; the masks are as long as what they
//! cover, so its ranges hold for the body itself:
//! - `</body` becomes a start tag, because only those are reported wherever they stand (in a
//!   comment, script or attribute it is as little a tag as before);
//! - `noscript` gets another name: mail programs run no scripts, so what is inside is shown;
//! - inside merge tags quotes and spaces are hidden: the sender replaces the tag before anyone
//!   reads the HTML, so `href="{{ url "x" }}"` is one value.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use lol_html::errors::RewritingError;
use lol_html::html_content::Element;
use lol_html::{HtmlRewriter, MemorySettings, Settings, doc_comments, doc_text, element};

use super::tags::spaced_tag_len;
use super::{
    Context, DESTINATIONS_MAX, Found, LeftAlone, Reason, RewriteError, Survey, destination,
};

/// Enough for some 100,000 open elements; a mail has a few hundred.
const PARSER_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

const END_OF_BODY: &[u8] = b"</body";
/// As long as `</body`, and the name of no element.
const END_OF_BODY_MASK: &[u8] = b"<ebody";
/// Put behind the copy: reported as a tag if the body's end is a place for one.
const PROBE: &[u8] = b"<ebody>";
const NOSCRIPT: &[u8] = b"noscript";
const NOSCRIPT_MASK: &[u8] = b"n-script";

/// Finds the destinations of `a` and `area` elements.
///
/// # Errors
///
/// [`RewriteError::TooDeep`] if the parser's memory does not suffice, and
/// [`RewriteError::TooMany`].
pub fn find_html(html: &str, base_url: &str) -> Result<Survey, RewriteError> {
    let mut masked = mask(html.as_bytes());
    masked.extend_from_slice(PROBE);
    let masked = masked;
    let mut seen = Vec::new();
    let (mut end_of_body, mut end_is_open) = (None, false);
    let settings = Settings::new()
        .append_element_content_handler(element!("a[href], area[href]", |element| {
            // A tag that only the probe has closed is cut off, and none.
            let whole = element.source_location().bytes().end <= html.len();
            if whole && seen.len() <= DESTINATIONS_MAX {
                seen.push(seen_in(element));
            }
            Ok(())
        }))
        .append_element_content_handler(element!("ebody", |element| {
            let start = element.source_location().bytes().start;
            end_is_open = start == html.len();
            if html.as_bytes().get(start + 1) == Some(&b'/') {
                end_of_body = Some(start);
            }
            Ok(())
        }));
    tokenize(&masked, settings)?;
    if seen.len() > DESTINATIONS_MAX {
        return Err(RewriteError::TooMany);
    }

    let pixel_at = match end_of_body {
        None if end_is_open || !ends_inside_tag(&masked)? => Some(html.len()),
        place => place,
    };
    let mut survey = Survey {
        links: Vec::new(),
        left_alone: Vec::new(),
        pixel_at,
    };
    for (range, opted_out) in seen {
        read_value(&mut survey, html, range, opted_out, base_url);
    }
    Ok(survey)
}

/// Whether a body with no real end is cut off within a tag, where a pixel would become part of
/// it. Behind an unfinished comment, title or script it does no harm.
fn ends_inside_tag(masked: &[u8]) -> Result<bool, RewriteError> {
    let (in_text, in_comment) = (Cell::new(0), Cell::new(0));
    let settings = Settings::new()
        .append_document_content_handler(doc_text!(|text| {
            in_text.set(text.source_location().bytes().end.max(in_text.get()));
            Ok(())
        }))
        .append_document_content_handler(doc_comments!(|comment| {
            in_comment.set(comment.source_location().bytes().end);
            Ok(())
        }));
    tokenize(masked, settings)?;
    Ok(in_text.get().max(in_comment.get()) < masked.len())
}

fn tokenize(masked: &[u8], settings: Settings<'_, '_>) -> Result<(), RewriteError> {
    let memory = MemorySettings::new().with_max_allowed_memory_usage(PARSER_MEMORY_BYTES_MAX);
    let settings = settings.with_memory_settings(memory).with_strict(false);
    let mut parser = HtmlRewriter::new(settings, |_: &[u8]| {});
    parser
        .write(masked)
        .and_then(|()| parser.end())
        .map_err(refused)
}

fn refused(error: RewritingError) -> RewriteError {
    match error {
        RewritingError::MemoryLimitExceeded(_) => RewriteError::TooDeep,
        other => RewriteError::Parser(other.to_string()),
    }
}

/// The range of the first `href`'s value, the one that counts, and whether the sender opted out.
fn seen_in(element: &Element<'_, '_>) -> (Range<usize>, bool) {
    let end = element.source_location().bytes().end;
    let href = element
        .attributes()
        .iter()
        .find(|attribute| attribute.name() == "href");
    let value = href.and_then(|attribute| attribute.value_source_location());
    let opted_out = element
        .get_attribute("data-cupel")
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("off"));
    (
        value.map_or(end..end, |location| location.bytes()),
        opted_out,
    )
}

fn read_value(
    survey: &mut Survey,
    html: &str,
    range: Range<usize>,
    opted_out: bool,
    base_url: &str,
) {
    let raw = html.get(range.clone()).unwrap_or_default();
    let decoded = Decoded::new(raw);
    let read = match opted_out {
        true => Err(Reason::OptedOut),
        false => destination::read(&decoded.text, base_url),
    };
    match read {
        Ok(destination) => {
            let context = match range
                .start
                .checked_sub(1)
                .and_then(|at| html.as_bytes().get(at))
            {
                Some(b'"') => Context::DoubleQuoted,
                Some(b'\'') => Context::SingleQuoted,
                _ => Context::Unquoted,
            };
            let as_stood = |tag: &Range<usize>| {
                raw.get(decoded.raw_at(tag.start)..decoded.raw_at(tag.end))
                    .or_else(|| decoded.text.get(tag.clone()))
                    .unwrap_or_default()
                    .to_owned()
            };
            let values = destination.tags.iter().map(as_stood).collect();
            survey.links.push(Found {
                range,
                context,
                registered: destination.registered,
                values,
            });
        }
        Err(reason) => {
            survey.left_alone.push(LeftAlone {
                range,
                value: raw.to_owned(),
                reason,
            });
        }
    }
}

/// An attribute value with its entities decoded, and the way back to the bytes as they stood.
struct Decoded<'a> {
    text: Cow<'a, str>,
    /// Pieces that begin at an ampersand: an entity can only stand at a piece's start, so behind
    /// it a piece is the same in both forms, counted from its end.
    pieces: Vec<Piece>,
}

struct Piece {
    raw: Range<usize>,
    decoded: Range<usize>,
}

impl<'a> Decoded<'a> {
    fn new(raw: &'a str) -> Self {
        if !raw.contains('&') {
            return Self {
                text: Cow::Borrowed(raw),
                pieces: Vec::new(),
            };
        }
        let mut text = String::with_capacity(raw.len());
        let mut pieces = Vec::new();
        let mut from = 0;
        while let Some(rest) = raw.get(from..).filter(|rest| !rest.is_empty()) {
            let next = rest.bytes().skip(1).position(|byte| byte == b'&');
            let end = next.map_or(raw.len(), |at| from + 1 + at);
            let start = text.len();
            text.push_str(&htmlize::unescape_attribute(
                raw.get(from..end).unwrap_or_default(),
            ));
            pieces.push(Piece {
                raw: from..end,
                decoded: start..text.len(),
            });
            from = end;
        }
        Self {
            text: Cow::Owned(text),
            pieces,
        }
    }

    /// Where a place of the decoded text stands in the raw value.
    fn raw_at(&self, decoded: usize) -> usize {
        let index = self
            .pieces
            .partition_point(|piece| piece.decoded.end <= decoded);
        let Some(piece) = self.pieces.get(index) else {
            return self.pieces.last().map_or(decoded, |last| last.raw.end);
        };
        if decoded <= piece.decoded.start {
            return piece.raw.start;
        }
        (piece.raw.end + decoded).saturating_sub(piece.decoded.end)
    }
}

/// The copy that the tokenizer reads; see the head of this file.
fn mask(html: &[u8]) -> Vec<u8> {
    let mut masked = html.to_vec();
    let mut at = 0;
    while let Some(byte) = html.get(at) {
        let tag = match byte {
            b'{' | b'<' | b'%' | b'[' | b'*' => spaced_tag_len(html, at),
            _ => None,
        };
        let tag = tag
            .map(|len| at..at + len)
            .filter(|tag| is_hidden_safely(html, tag));
        if let Some(tag) = tag {
            if let Some(inside) = masked.get_mut(tag.clone()) {
                inside.fill(b'x');
            }
            at = tag.end;
            continue;
        }
        if *byte == b'<' {
            mask_name(html, &mut masked, at);
        }
        at += 1;
    }
    masked
}

/// A tag that holds markup is no tag, or one that does not stand inside an attribute.
fn is_hidden_safely(html: &[u8], tag: &Range<usize>) -> bool {
    html.get(tag.start + 2..tag.end - 2)
        .is_some_and(|inside| !inside.iter().any(|byte| matches!(byte, b'<' | b'>')))
}

fn mask_name(html: &[u8], masked: &mut [u8], at: usize) {
    let named = |from: usize, name: &[u8]| {
        let word = html.get(from..from + name.len());
        let ends = html
            .get(from + name.len())
            .is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
        ends && word.is_some_and(|word| word.eq_ignore_ascii_case(name))
    };
    let slash = usize::from(html.get(at + 1) == Some(&b'/'));
    let (from, mask) = match () {
        () if named(at, END_OF_BODY) => (at, END_OF_BODY_MASK),
        () if named(at + 1 + slash, NOSCRIPT) => (at + 1 + slash, NOSCRIPT_MASK),
        () => return,
    };
    if let Some(place) = masked.get_mut(from..from + mask.len()) {
        place.copy_from_slice(mask);
    }
}
