//! The second pass: writing a body again with tracked URLs in it.
//!
//! Owns: the form of a tracked URL, its escaping, and the pixel's markup.
//! Refuses: looking at the body; the survey says where everything stands.

use std::ops::Range;

use crate::domain::campaign::LinkKind;

use super::{Change, Context, Found, LinkRef, Rewritten, Style, Survey};

/// Writes HTML again. `links` goes with `survey.links`; a `None`, or a missing entry, leaves the
/// value as it is. `survey` must have been made of this `html`.
pub fn splice_html(
    html: &str,
    survey: &Survey,
    links: &[Option<LinkRef>],
    style: &Style<'_>,
) -> Rewritten {
    let mut edits = link_edits(survey, links, style);
    // Twice the same pixel would count one opening twice.
    let wanted = style.pixel && !html.contains(&pixel_url(style));
    if let Some(at) = survey.pixel_at.filter(|_| wanted) {
        let index = edits.partition_point(|(range, _)| range.start < at);
        edits.insert(index, (at..at, pixel(style)));
    }
    apply(html, edits)
}

/// Writes plain text again; otherwise as [`splice_html`].
pub fn splice_text(
    text: &str,
    survey: &Survey,
    links: &[Option<LinkRef>],
    style: &Style<'_>,
) -> Rewritten {
    apply(text, link_edits(survey, links, style))
}

/// The most bytes that a body of so many can have when it is written again, whatever its
/// destinations are registered as.
#[must_use]
pub fn written_bytes_max(bytes: usize, survey: &Survey, style: &Style<'_>) -> usize {
    // No other form is longer, and no number.
    let longest = LinkRef {
        number: u32::MAX,
        kind: LinkKind::Action,
    };
    let links = survey.links.iter();
    let links = links.map(|found| replacement(found, longest, style).len());
    bytes + pixel(style).len() + links.sum::<usize>()
}

type Edit = (Range<usize>, String);

fn link_edits(survey: &Survey, links: &[Option<LinkRef>], style: &Style<'_>) -> Vec<Edit> {
    let pairs = survey.links.iter().zip(links);
    pairs
        .filter_map(|(found, link)| Some((found.range(), replacement(found, (*link)?, style))))
        .collect()
}

fn apply(body: &str, edits: Vec<Edit>) -> Rewritten {
    let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = String::with_capacity(body.len() + grown);
    let mut changes = Vec::with_capacity(edits.len());
    let mut at = 0;
    for (before, new) in edits {
        out.push_str(body.get(at..before.start).unwrap_or_default());
        let start = out.len();
        out.push_str(&new);
        at = before.end;
        changes.push(Change {
            before,
            after: start..out.len(),
        });
    }
    out.push_str(body.get(at..).unwrap_or_default());
    Rewritten { body: out, changes }
}

/// The tracked URL in the form its place needs.
fn replacement(found: &Found, link: LinkRef, style: &Style<'_>) -> String {
    let url = tracked_url(found, link, style);
    match found.context {
        Context::Text => url.join("&", |part| part.to_owned()),
        Context::DoubleQuoted => url.join("&amp;", |part| part.replace('"', "&quot;")),
        Context::SingleQuoted => url.join("&amp;", |part| part.replace('\'', "&#39;")),
        Context::Unquoted => {
            let plain = url.join("&amp;", |part| part.to_owned());
            let refused = |c: char| c.is_ascii_whitespace() || "\"'=<>`".contains(c);
            match plain {
                plain if !plain.contains(refused) => plain,
                plain if !plain.contains('"') => format!("\"{plain}\""),
                plain => format!("'{}'", plain.replace('\'', "&#39;")),
            }
        }
    }
}

/// A tracked URL in parts: what we write, which needs escaping, and the sender's own tags, which
/// stood in this very place and must stay as they are for the sender's program to know them.
struct Tracked<'a> {
    url: String,
    values: &'a [String],
}

impl Tracked<'_> {
    fn join(&self, and: &str, escape: impl Fn(&str) -> String) -> String {
        let mut out = escape(&self.url);
        for (index, value) in self.values.iter().enumerate() {
            out.push_str(if index == 0 { "?" } else { and });
            out.push_str(&format!("v{}={value}", index + 1));
        }
        out
    }
}

fn tracked_url<'a>(found: &'a Found, link: LinkRef, style: &Style<'_>) -> Tracked<'a> {
    let Style {
        base_url,
        token_tag,
        ..
    } = style;
    let number = link.number;
    let url = match link.kind {
        // A honeypot must not be told from content by its form.
        LinkKind::Content | LinkKind::Honeypot => format!("{base_url}/c/{token_tag}/{number}"),
        LinkKind::Action => {
            format!(
                "{base_url}/a/{token_tag}/{}/{number}",
                act_tag(style.act_tag, number)
            )
        }
        LinkKind::Unsubscribe => {
            format!("{base_url}/u/{token_tag}/{}/0", act_tag(style.act_tag, 0))
        }
    };
    Tracked {
        url,
        values: &found.values,
    }
}

/// Puts the number in for the last `N` that stands alone: `{{NEWS_act_N}}` has another one.
fn act_tag(tag: &str, number: u32) -> String {
    let bytes = tag.as_bytes();
    let letter = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    let mut places = tag.match_indices('N').map(|(at, _)| at);
    let alone = |at: &usize| !letter(at.checked_sub(1)) && !letter(Some(at + 1));
    let place = places.rfind(alone).or_else(|| tag.rfind('N'));
    match place.and_then(|at| tag.get(..at).zip(tag.get(at + 1..))) {
        Some((head, tail)) => format!("{head}{number}{tail}"),
        None => tag.to_owned(),
    }
}

fn pixel_url(style: &Style<'_>) -> String {
    format!("{}/o/{}.gif", style.base_url, style.token_tag).replace('"', "&quot;")
}

fn pixel(style: &Style<'_>) -> String {
    format!(
        "<img src=\"{}\" width=\"1\" height=\"1\" alt=\"\" border=\"0\" \
         style=\"display:block;width:1px;height:1px;border:0\">",
        pixel_url(style)
    )
}
