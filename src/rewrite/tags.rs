//! Merge tags of the senders we know, as one table, and a walk over a URL that keeps them whole.
//!
//! Owns: what counts as a merge tag, raw or percent-encoded. Refuses: knowing what a tag means.
//! A wrong yes is cheap (the text travels as `v1` and comes back as it was), a wrong no costs the
//! recipient a broken link; so the table is generous wherever a URL does not use the same signs.

use std::ops::Range;

/// A tag is at most this long, which bounds the work per opening sign.
const TAG_BYTES_MAX: usize = 256;

/// How a tag's inside is read.
#[derive(Clone, Copy, PartialEq)]
enum Body {
    /// Anything but a line end, up to the first closing sign, and the second sign as often as it
    /// follows: `{{{x}}}` when encoded.
    Until(&'static str, &'static str),
    /// Nested braces, closed as often as they were opened: `{{${user_id}}}`.
    Braces,
    /// A name, and after one of `=,|:` a fallback that may hold spaces: `[firstname,fallback=x]`.
    Name(&'static str),
    /// A name between per cent signs, told from percent-encoding: `%EMAIL%` but not `%C3%A9`.
    Percent,
    /// A bare word between dashes that fills its component: `?id=-customerID-`.
    Dashed,
}

/// The opening sign and the inside of each syntax, under the senders it was seen with. Longer
/// openings stand before their prefixes. Hexadecimal digits match in either case.
const TABLE: &[(&str, Body)] = &[
    // SendGrid, Klaviyo, HubSpot, listmonk, Brevo, Marketo, Braze.
    ("{{", Body::Braces),
    // the same, encoded.
    ("%7B%7B", Body::Until("%7D%7D", "%7D")),
    // the same, encoded twice.
    ("%257B%257B", Body::Until("%257D%257D", "%257D")),
    // Liquid blocks.
    ("{%", Body::Until("%}", "")),
    // Liquid blocks, encoded.
    ("%7B%25", Body::Until("%25%7D", "")),
    // Mailchimp, Mandrill.
    ("*|", Body::Until("|*", "")),
    // Mailchimp, encoded.
    ("*%7C", Body::Until("%7C*", "")),
    // Mailchimp, encoded whole.
    ("%2A%7C", Body::Until("%7C%2A", "")),
    // Mailchimp, encoded twice.
    ("*%257C", Body::Until("%257C*", "")),
    // Salesforce AMPscript.
    ("%%=", Body::Until("=%%", "")),
    // Salesforce.
    ("%%", Body::Name("%%")),
    // Salesforce, encoded.
    ("%25%25", Body::Name("%25%25")),
    // Constant Contact.
    ("[[", Body::Until("]]", "")),
    // Constant Contact, encoded.
    ("%5B%5B", Body::Until("%5D%5D", "")),
    // Adestra.
    ("[*", Body::Until("*]", "")),
    // Campaign Monitor.
    ("[", Body::Name("]")),
    // Campaign Monitor, encoded.
    ("%5B", Body::Name("%5D")),
    // Adobe Campaign.
    ("<%", Body::Until("%>", "")),
    // Adobe Campaign, encoded.
    ("%3C%25", Body::Until("%25%3E", "")),
    // shell style.
    ("${", Body::Name("}")),
    // Mautic, MailerLite.
    ("{", Body::Name("}")),
    // Mautic, MailerLite, encoded.
    ("%7B", Body::Name("%7D")),
    // HCL.
    ("#pf:", Body::Name("#")),
    // ActiveCampaign.
    ("%", Body::Percent),
    // SendGrid legacy.
    ("-", Body::Dashed),
];

/// One step of a [`Walk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole merge tag.
    Tag(Range<usize>),
    /// One byte that belongs to none.
    Byte(usize, u8),
}

/// Walks a URL byte by byte, merge tags in one step each.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    in_query: bool,
    in_key: bool,
    fresh: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(url: &'a str, from: usize) -> Self {
        Self {
            bytes: url.as_bytes(),
            at: from,
            in_query: false,
            in_key: false,
            fresh: true,
        }
    }

    /// Which part of a URL the next byte is in, as far as tags care.
    fn note(&mut self, byte: u8) {
        match byte {
            b'?' => (self.in_query, self.in_key) = (true, true),
            b'&' => self.in_key = self.in_query,
            b'=' => self.in_key = false,
            b'#' => (self.in_query, self.in_key) = (false, false),
            _ => {}
        }
        self.fresh = matches!(byte, b'/' | b'?' | b'&' | b'=' | b'#');
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (start, byte) = (self.at, *self.bytes.get(self.at)?);
        if let Some(len) = tag_len(self.bytes, start, self.in_key, self.fresh) {
            self.at += len;
            self.fresh = false;
            return Some(Step::Tag(start..self.at));
        }
        self.at += 1;
        self.note(byte);
        Some(Step::Byte(start, byte))
    }
}

/// The length of the merge tag that begins at `at`, for a place outside any URL: the quoting and
/// spaces of such a tag belong to it.
pub(super) fn spaced_tag_len(bytes: &[u8], at: usize) -> Option<usize> {
    let opens = |open: &str| bytes.get(at..).is_some_and(|rest| starts_with(rest, open));
    let known = ["{{", "{%", "<%", "%%=", "[*", "*|"].into_iter().any(opens);
    if known {
        tag_len(bytes, at, false, false)
    } else {
        None
    }
}

fn tag_len(bytes: &[u8], at: usize, in_key: bool, fresh: bool) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if !matches!(
        rest.first()?,
        b'{' | b'[' | b'<' | b'*' | b'%' | b'#' | b'$' | b'-'
    ) {
        return None;
    }
    let window = rest.get(..TAG_BYTES_MAX).unwrap_or(rest);
    TABLE.iter().find_map(|(open, body)| {
        if !starts_with(window, open) {
            return None;
        }
        let inside = window.get(open.len()..)?;
        // `?filter[name]=x` and `?ids%5B0%5D=1` are arrays, not tags.
        let bracket = matches!(*body, Body::Name("]" | "%5D"));
        let len = match body {
            Body::Name(_) if bracket && in_key => None,
            Body::Until(close, more) => until(inside, open, close, more),
            Body::Braces => braces(inside),
            Body::Name(close) => name(inside, close),
            Body::Percent => percent(inside),
            Body::Dashed if fresh => dashed(inside),
            Body::Dashed => None,
        };
        Some(open.len() + len?)
    })
}

/// Whether the bytes begin with a sign. Only its hexadecimal digits have a case; the first byte
/// never has, so most calls end there.
fn starts_with(bytes: &[u8], sign: &str) -> bool {
    bytes.first() == sign.as_bytes().first()
        && bytes
            .get(..sign.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(sign.as_bytes()))
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// An opening sign that comes again before the closing one began no tag, which also keeps the
/// work linear in a text made of opening signs.
fn until(inside: &[u8], open: &str, close: &str, more: &str) -> Option<usize> {
    let mut end = 0;
    while !starts_with(inside.get(end..)?, close) {
        if is_line_end(*inside.get(end)?) || starts_with(inside.get(end..)?, open) {
            return None;
        }
        end += 1;
    }
    if end == 0 {
        return None;
    }
    end += close.len();
    while !more.is_empty()
        && inside
            .get(end..)
            .is_some_and(|rest| starts_with(rest, more))
    {
        end += more.len();
    }
    Some(end)
}

fn braces(inside: &[u8]) -> Option<usize> {
    const DEPTH_MAX: usize = 6;
    let mut depth = 2_usize;
    for (at, byte) in inside.iter().enumerate() {
        match byte {
            b'{' if depth == DEPTH_MAX => return None,
            b'{' => depth += 1,
            b'}' => depth -= 1,
            byte if is_line_end(*byte) => return None,
            _ => {}
        }
        if depth == 0 {
            return (at > 1).then_some(at + 1);
        }
    }
    None
}

fn name(inside: &[u8], close: &str) -> Option<usize> {
    let first = *inside.first()?;
    if !(first.is_ascii_alphabetic() || matches!(first, b'_' | b'$')) {
        return None;
    }
    let mut fallback = false;
    for at in 1..inside.len() {
        if starts_with(inside.get(at..)?, close) {
            return Some(at + close.len());
        }
        match *inside.get(at)? {
            b'=' | b',' | b'|' | b':' => fallback = true,
            b' ' | b'@' | b'(' | b')' if fallback => {}
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') => {}
            _ => return None,
        }
    }
    None
}

fn percent(inside: &[u8]) -> Option<usize> {
    let hex = |at: usize| inside.get(at).is_some_and(u8::is_ascii_hexdigit);
    let len = inside
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'))
        .count();
    let escape_like = hex(0) && hex(1);
    let closing_is_escape = hex(len + 1) && hex(len + 2);
    let named = inside.first()?.is_ascii_alphabetic() && inside.get(len) == Some(&b'%');
    (named && !(escape_like && (closing_is_escape || len < 3))).then_some(len + 1)
}

fn dashed(inside: &[u8]) -> Option<usize> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let len = inside.iter().take_while(|byte| word(byte)).count();
    let alone = inside
        .get(len + 1)
        .is_none_or(|byte| !word(byte) && *byte != b'-');
    let named = inside.first()?.is_ascii_alphabetic() && inside.get(len) == Some(&b'-');
    (named && alone).then_some(len + 1)
}

/// Whether a tag opens, splits or closes a block rather than standing for a value:
/// `{{#if x}}`, `{% else %}`, `*|END:IF|*`.
pub(super) fn is_block(tag: &str) -> bool {
    const WORDS: &[&str] = &[
        "if",
        "else",
        "elseif",
        "elsif",
        "elif",
        "end",
        "endif",
        "unless",
        "endunless",
        "for",
        "endfor",
        "case",
        "when",
        "endcase",
        "range",
        "with",
    ];
    if !["{{", "{%", "*|", "<%"]
        .iter()
        .any(|open| tag.starts_with(open))
    {
        return false;
    }
    let inside = tag.trim_start_matches(['{', '%', '*', '|', '<', '-', '~', ' ']);
    let word = inside
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    inside.starts_with(['#', '^', '/'])
        || word.is_some_and(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}
