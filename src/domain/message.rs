//! Messages: one mail to one recipient, and its names.

use std::fmt;

use super::campaign::CampaignId;

/// Longest recipient id in bytes; in every client alike.
pub const RECIPIENT_ID_BYTES_MAX: usize = 256;

/// Ten bytes that stand for a recipient inside one campaign (DESIGN 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecipientKey([u8; 10]);

impl RecipientKey {
    /// Of a token that was minted without a recipient.
    pub const NONE: Self = Self([0; 10]);

    /// A key from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// The bytes, as tokens and the store keep them.
    #[must_use]
    pub const fn bytes(self) -> [u8; 10] {
        self.0
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if *self == Self::NONE {
            "RecipientKey(none)"
        } else {
            "RecipientKey(..)"
        })
    }
}

/// Identity of a message. The recipient key is no part of it: an erase zeroes that, and totals
/// stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The campaign it belongs to.
    pub campaign: CampaignId,
    /// When its token was made, in Unix seconds. Not the send time.
    pub minted_at: u32,
    /// Its number, unique within campaign and `minted_at`.
    pub number: u32,
}

impl MessageId {
    /// Parses `{campaign}-{minted_at}-{number}`, decimal, without leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(decimal);
        let (campaign, minted_at, number) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            campaign: CampaignId::new(campaign)?,
            minted_at,
            number,
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}-{}-{}",
            self.campaign.get(),
            self.minted_at,
            self.number
        )
    }
}

/// A decimal number as URLs and ids write it: digits only, no sign, no leading zeros.
#[must_use]
pub fn decimal(text: &str) -> Option<u32> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_names_a_message() {
        let id = MessageId::parse("7-1700000000-0").unwrap();
        assert_eq!(id.to_string(), "7-1700000000-0");
        for bad in [
            "",
            "7",
            "7-1",
            "07-1-1",
            "7-1-1-1",
            "7--1",
            "+7-1-1",
            "0-1-1",
            "7-1-4294967296",
        ] {
            assert_eq!(MessageId::parse(bad), None, "{bad}");
        }
    }
}
