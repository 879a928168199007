//! Turning the http(s) destinations of a mail body into tracked URLs, byte by byte.
//!
//! Owns: where destinations stand in HTML and plain text, what a destination with merge tags is
//! registered as, how a tracked URL is written, and where the open pixel goes.
//! Refuses: numbers, kinds and stored links (the caller registers what was found, in one
//! transaction, and hands back [`LinkRef`]s), MIME, character sets, comments and VML.
//!
//! Two passes, both pure: [`find_html`] or [`find_text`] makes a [`Survey`] of a body, and
//! [`splice_html`] or [`splice_text`] writes the same body again with some of the surveyed values
//! replaced. Every byte outside a replaced value, and outside the pixel, is copied as it was.
//! Rewriting what was rewritten changes nothing. Time and memory grow with the length only.

mod destination;
mod html;
mod splice;
mod tags;
#[cfg(test)]
mod tests;
mod text;

use std::ops::Range;

use crate::domain::campaign::LinkKind;

pub use html::find_html;
pub use splice::{splice_html, splice_text, written_bytes_max};
pub use text::find_text;

/// A destination holds at most this many merge tags, as many as a registered destination has
/// slots; one with more is left alone.
pub const TAGS_PER_LINK_MAX: usize = 9;

/// A body holds at most this many destinations, those that are left alone among them: what is known
/// of one takes more memory than the shortest takes bytes.
pub const DESTINATIONS_MAX: usize = 100_000;

/// What a caller has registered a destination as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkRef {
    /// The link's number in its campaign, from 1.
    pub number: u32,
    /// The link's kind, which chooses the form of the tracked URL.
    pub kind: LinkKind,
}

/// How tracked URLs of one campaign and one sender are written.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// The public listener's address without a slash at its end, `https://click.example`.
    pub base_url: &'a str,
    /// The sender's merge tag for the message token, `{{cupel_token}}`; written unencoded.
    pub token_tag: &'a str,
    /// The sender's merge tag for act tags, `{{cupel_act_N}}`: its `N` gives way to the number.
    pub act_tag: &'a str,
    /// Whether an HTML body gets the open pixel.
    pub pixel: bool,
}

/// One http(s) destination found in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    range: Range<usize>,
    context: Context,
    registered: String,
    values: Vec<String>,
}

impl Found {
    /// Where the value stands: between the quotes in HTML, the URL itself in text; in bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The destination to register: entities decoded, white space off, the merge tags replaced
    /// by `{v1}`, `{v2}` and so on. A literal `{v1}` of the sender's is a merge tag by the table;
    /// where it is none, its `v` is written `%76`, so a `{v1}` (or `%7Bv1%7D`) is always ours.
    pub fn registered(&self) -> &str {
        &self.registered
    }

    /// The merge tags behind `{v1}`, `{v2}` …, as they stood in the body.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the destination is filled in per recipient.
    pub fn is_templated(&self) -> bool {
        !self.values.is_empty()
    }
}

/// What surrounds a value, which decides how its replacement is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    DoubleQuoted,
    SingleQuoted,
    Unquoted,
    Text,
}

/// Everything the first pass learned about one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The destinations that may be tracked, in order; they do not overlap.
    pub links: Vec<Found>,
    /// What looked like a destination and stays as it is, in order.
    pub left_alone: Vec<LeftAlone>,
    /// Where the pixel belongs, in bytes: before the last `</body>`, or at the end. Nowhere in
    /// text, and in HTML that is cut off inside a tag.
    pixel_at: Option<usize>,
}

/// A value that is not tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    /// Where the value stands, in bytes.
    pub range: Range<usize>,
    /// The value as it stands in the body.
    pub value: String,
    /// Why it stays.
    pub reason: Reason,
}

/// Why a value was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing in it, or no value at all.
    Empty,
    /// A relative address or a fragment.
    Relative,
    /// Another scheme than http and https: `mailto:`, `tel:`, `cid:` …
    OtherScheme,
    /// The whole value is one merge tag; only the sender knows what it becomes.
    MergeTag,
    /// A merge tag in the scheme, the user, the host or the port, or right behind the host: the
    /// destination would be the reader's choice. A sender should hear of this one.
    TagInOrigin,
    /// A conditional or loop of the sender's language that chooses parts of the address.
    Block,
    /// More than [`TAGS_PER_LINK_MAX`] merge tags.
    TooManyTags,
    /// A tracked URL of ours.
    AlreadyTracked,
    /// The tag carries `data-cupel="off"`.
    OptedOut,
    /// http or https, but no URL by the WHATWG standard.
    Invalid,
}

impl Reason {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Relative => "relative",
            Self::OtherScheme => "other_scheme",
            Self::MergeTag => "merge_tag",
            Self::TagInOrigin => "tag_in_origin",
            Self::Block => "block",
            Self::TooManyTags => "too_many_tags",
            Self::AlreadyTracked => "already_tracked",
            Self::OptedOut => "opted_out",
            Self::Invalid => "invalid",
        }
    }
}

/// A body after the second pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The new body.
    pub body: String,
    /// What was replaced, in order; the pixel is an empty range before and a full one after.
    pub changes: Vec<Change>,
}

/// One replaced range, for reports and for taking the change back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The range in the old body.
    pub before: Range<usize>,
    /// The range in the new body.
    pub after: Range<usize>,
}

/// Why a body cannot be rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The parser passed its memory limit: elements nested without end.
    #[error("the HTML nests too deeply to be read within the memory limit")]
    TooDeep,
    /// More than [`DESTINATIONS_MAX`] destinations.
    #[error("at most {DESTINATIONS_MAX} links are taken")]
    TooMany,
    /// The parser gave up for another reason.
    #[error("the HTML cannot be read: {0}")]
    Parser(String),
}
