//! Tenants, campaigns and their links.

use std::num::NonZeroU32;

use super::coded_enum;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// 1, which every numbering begins with.
            pub const FIRST: Self = Self(NonZeroU32::MIN);

            /// The number, unless it is 0.
            #[must_use]
            pub const fn new(number: u32) -> Option<Self> {
                match NonZeroU32::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0.get()
            }
        }
    };
}

number! {
    /// A sender on this installation. The first one is made with the data directory.
    TenantId
}
number! {
    /// One mailing, or one transactional template.
    CampaignId
}
number! {
    /// Number of a link within its campaign, from 1.
    LinkNumber
}
number! {
    /// A short link, in store and journal; readers know its code.
    ShortLinkId
}

coded_enum! {
    /// What a link does.
    pub enum LinkKind {
        /// Redirects.
        Content = 1 => "content",
        /// Shows a page with a button and acts on its press.
        Action = 2 => "action",
        /// The campaign's unsubscribe function; written as `/u/…`.
        Unsubscribe = 3 => "unsubscribe",
        /// Seen by machines only; leads to the campaign's home.
        Honeypot = 4 => "honeypot",
    }
}

coded_enum! {
    /// What an action link's press means.
    pub enum ActionKind {
        /// Confirms something, such as an address.
        Confirm = 1 => "confirm",
        /// Logs somebody in.
        Login = 2 => "login",
        /// Anything else; goes on working under an aged key.
        Generic = 3 => "generic",
    }
}

coded_enum! {
    /// What may be recorded of a hit (DESIGN 5.5), from most to least.
    pub enum PrivacyLevel {
        /// Everything; the full address in the journal only.
        Individual = 1 => "individual",
        /// Campaign, link, kind, class, method and 15-minute cell.
        Aggregate = 2 => "aggregate",
        /// Nothing; acts are kept as acts.
        None = 3 => "none",
    }
}

impl PrivacyLevel {
    /// The stricter of two levels.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Code of a short link: 1 to 64 characters of `A-Z a-z 0-9 - _`, not a word that routes use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShortCode(Box<str>);

/// Why a text is no short code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShortCodeError {
    /// Other characters, or too many or too few.
    #[error("has to be 1 to 64 characters of A-Z, a-z, 0-9, - and _")]
    Form,
    /// A route has this name.
    #[error("is a reserved word: {} may not be one, in capitals neither", RESERVED.join(", "))]
    Reserved,
}

/// Names that routes of the public listener use or may come to use, in lower case.
const RESERVED: &[&str] = &[
    "c",
    "a",
    "u",
    "o",
    "hooks",
    "_",
    "api",
    "static",
    "metrics",
    "livez",
    "readyz",
    "healthz",
    "admin",
    "dashboard",
    "login",
    "logout",
    "assets",
    "docs",
    "r",
    "s",
];

impl ShortCode {
    /// Parses a code; case matters.
    ///
    /// # Errors
    /// Says what about it is not acceptable.
    pub fn parse(text: &str) -> Result<Self, ShortCodeError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&text.len()) || !text.bytes().all(plain) {
            return Err(ShortCodeError::Form);
        }
        if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(ShortCodeError::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
