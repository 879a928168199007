//! Message token, version 1 (DESIGN 5.2, docs/token.md): made, read and verified here only.
//!
//! A token identifies a message; it authorises nothing. What an action or unsubscribe link may do
//! hangs on its act tag, which no other URL gives away.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use subtle::ConstantTimeEq;

use super::campaign::CampaignId;
use super::keys::{KeyState, TenantKey, TenantKeys};
use super::message::{MessageId, RecipientKey};

/// Bytes of a token's payload: everything but the MAC.
pub const PAYLOAD_BYTES: usize = 24;
/// Characters of a token.
pub const TOKEN_CHARS: usize = 48;
/// Characters of an act tag.
pub const ACT_CHARS: usize = 16;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 12;
const TOKEN_BYTES: usize = PAYLOAD_BYTES + MAC_BYTES;
const VERP_PREFIX: &str = "cb-";
const VERP_CHARS: usize = VERP_PREFIX.len() + 58;

/// The signed part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payload {
    /// Number of the ring key that signed it.
    pub key: u8,
    /// The message it identifies.
    pub message: MessageId,
    /// Its recipient, or [`RecipientKey::NONE`].
    pub recipient: RecipientKey,
}

impl Payload {
    /// The 24 bytes: `0x01 | key id | campaign | minted_at | number | recipient key`, big-endian.
    #[must_use]
    pub fn bytes(&self) -> [u8; PAYLOAD_BYTES] {
        let mut bytes = [0; PAYLOAD_BYTES];
        let fields = [VERSION, self.key]
            .into_iter()
            .chain(self.message.campaign.get().to_be_bytes())
            .chain(self.message.minted_at.to_be_bytes())
            .chain(self.message.number.to_be_bytes())
            .chain(self.recipient.bytes());
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        bytes
    }

    /// Reads 24 bytes; `None` for another version or campaign 0.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; PAYLOAD_BYTES]) -> Option<Self> {
        let [
            version,
            key,
            c0,
            c1,
            c2,
            c3,
            m0,
            m1,
            m2,
            m3,
            n0,
            n1,
            n2,
            n3,
            recipient @ ..,
        ] = *bytes;
        if version != VERSION {
            return None;
        }
        Some(Self {
            key,
            message: MessageId {
                campaign: CampaignId::new(u32::from_be_bytes([c0, c1, c2, c3]))?,
                minted_at: u32::from_be_bytes([m0, m1, m2, m3]),
                number: u32::from_be_bytes([n0, n1, n2, n3]),
            },
            recipient: RecipientKey::from_bytes(recipient),
        })
    }
}

/// A token as it came in a URL: well formed, not yet verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    payload: Payload,
    bytes: [u8; PAYLOAD_BYTES],
    mac: [u8; MAC_BYTES],
}

/// A token whose MAC is right, and the state of the key that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub payload: Payload,
    /// State of its key: what it is good for.
    pub key_state: KeyState,
    bytes: [u8; PAYLOAD_BYTES],
}

impl Token {
    /// Reads the 48 characters of a URL; only the canonical encoding is accepted.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != TOKEN_CHARS {
            return None;
        }
        let mut bytes = [0; TOKEN_BYTES];
        BASE64URL_NOPAD.decode_mut(text, &mut bytes).ok()?;
        Self::from_bytes(&bytes)
    }

    /// Reads the local part of a VERP address, in any case.
    #[must_use]
    pub fn parse_verp(local_part: &str) -> Option<Self> {
        let lower = local_part.to_ascii_lowercase();
        let text = lower.strip_prefix(VERP_PREFIX)?.to_ascii_uppercase();
        if local_part.len() != VERP_CHARS {
            return None;
        }
        // data-encoding refuses trailing bits that are not zero.
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
        Self::from_bytes(bytes.first_chunk::<TOKEN_BYTES>()?)
    }

    fn from_bytes(bytes: &[u8; TOKEN_BYTES]) -> Option<Self> {
        let payload_bytes = *bytes.first_chunk::<PAYLOAD_BYTES>()?;
        let mac = *bytes.last_chunk::<MAC_BYTES>()?;
        Some(Self {
            payload: Payload::from_bytes(&payload_bytes)?,
            bytes: payload_bytes,
            mac,
        })
    }

    /// The campaign that a damaged token claims, if its beginning can still be read: scanners
    /// append to tokens, cut them and replace parts.
    #[must_use]
    pub fn claimed_campaign_of(text: &[u8]) -> Option<CampaignId> {
        let mut bytes = [0; 6];
        BASE64URL_NOPAD
            .decode_mut(text.get(..8)?, &mut bytes)
            .ok()?;
        let [version, _, c0, c1, c2, c3] = bytes;
        let campaign = CampaignId::new(u32::from_be_bytes([c0, c1, c2, c3]));
        campaign.filter(|_| version == VERSION)
    }

    /// The campaign that the token claims; nothing else may be read before it is verified.
    #[must_use]
    pub const fn claimed_campaign(&self) -> CampaignId {
        self.payload.message.campaign
    }

    /// Checks the MAC, in constant time, with the key that the token names.
    #[must_use]
    pub fn verify(&self, keys: &TenantKeys) -> Option<Verified> {
        let key = keys.get(self.payload.key)?;
        let mac = mac(key, &self.bytes);
        bool::from(mac.ct_eq(&self.mac)).then_some(Verified {
            payload: self.payload,
            key_state: key.state,
            bytes: self.bytes,
        })
    }
}

impl Verified {
    /// Whether `tag` authorises act `number` of this message; in constant time.
    #[must_use]
    pub fn authorises(&self, tag: &[u8], number: u32, keys: &TenantKeys) -> bool {
        let mut given = [0; MAC_BYTES];
        if tag.len() != ACT_CHARS || BASE64URL_NOPAD.decode_mut(tag, &mut given).is_err() {
            return false;
        }
        keys.get(self.payload.key)
            .is_some_and(|key| act_mac(key, &self.bytes, number).ct_eq(&given).into())
    }
}

/// A freshly signed token with the strings made of it.
#[derive(Clone, Debug)]
pub struct Minted {
    payload: [u8; PAYLOAD_BYTES],
    bytes: [u8; TOKEN_BYTES],
}

impl Minted {
    /// Signs a message's token with `key`.
    #[must_use]
    pub fn sign(message: MessageId, recipient: RecipientKey, key: &TenantKey) -> Self {
        let payload = Payload {
            key: key.id,
            message,
            recipient,
        }
        .bytes();
        let mut bytes = [0; TOKEN_BYTES];
        for (byte, from) in bytes
            .iter_mut()
            .zip(payload.into_iter().chain(mac(key, &payload)))
        {
            *byte = from;
        }
        Self { payload, bytes }
    }

    /// The 48 characters that stand in URLs.
    #[must_use]
    pub fn token(&self) -> String {
        BASE64URL_NOPAD.encode(&self.bytes)
    }

    /// The 61 characters of the VERP local part.
    #[must_use]
    pub fn verp(&self) -> String {
        let mut text = BASE32_NOPAD.encode(&self.bytes);
        text.make_ascii_lowercase();
        format!("{VERP_PREFIX}{text}")
    }

    /// The act tag of link `number`, 0 for the unsubscribe function. `key` is the signing key.
    #[must_use]
    pub fn act(&self, number: u32, key: &TenantKey) -> String {
        BASE64URL_NOPAD.encode(&act_mac(key, &self.payload, number))
    }
}

fn mac(key: &TenantKey, payload: &[u8; PAYLOAD_BYTES]) -> [u8; MAC_BYTES] {
    shortened(&key.mac.digest(&[b"cupel-token-v1", payload]))
}

fn act_mac(key: &TenantKey, payload: &[u8; PAYLOAD_BYTES], number: u32) -> [u8; MAC_BYTES] {
    shortened(
        &key.mac
            .digest(&[b"cupel-act-v1", payload, &number.to_be_bytes()]),
    )
}

fn shortened(digest: &[u8; 32]) -> [u8; MAC_BYTES] {
    let mut first = [0; MAC_BYTES];
    for (byte, from) in first.iter_mut().zip(digest) {
        *byte = *from;
    }
    first
}
