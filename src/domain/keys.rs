//! Keys of tokens (DESIGN 5.2): ring keys, the recipient secret, and what is derived from them
//! per tenant. Secrets never leave this room but as MACs, and never appear in debug output.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::campaign::{CampaignId, TenantId};
use super::coded_enum;
use super::message::{RECIPIENT_ID_BYTES_MAX, RecipientKey};

type HmacSha256 = Hmac<Sha256>;

coded_enum! {
    /// Where a ring key stands in its life.
    pub enum KeyState {
        /// Signs new tokens; exactly one key of a ring does.
        Signing = 1 => "signing",
        /// Verifies as fully as the signing key; a rotation in progress.
        Verifying = 2 => "verifying",
        /// Retired from signing: content, unsubscribe and generic actions go on; confirm and
        /// login ask for a new mail.
        Aged = 3 => "aged",
        /// Given away: content redirects, unsubscribe works, nothing is counted for a message.
        Revoked = 4 => "revoked",
    }
}

/// Thirty-two secret bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A secret from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be written to the key file and nowhere else.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// One key of the ring.
#[derive(Clone, Debug)]
pub struct RingKey {
    /// Number of the key in tokens.
    pub id: u8,
    /// Where it stands in its life.
    pub state: KeyState,
    /// The key itself.
    pub secret: Secret,
}

/// A keyed MAC, ready to be cloned per use: the key schedule is paid once.
#[derive(Clone)]
pub struct MacKey(HmacSha256);

impl MacKey {
    /// A MAC under `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        // HMAC takes keys of any length; the error type exists for other MACs.
        Self(HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&[0; 64].into())))
    }

    /// HMAC-SHA-256 of the parts, one after the other.
    #[must_use]
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("MacKey(..)")
    }
}

/// K_t: what signs and verifies the tokens of one tenant under one ring key.
#[derive(Clone, Debug)]
pub struct TenantKey {
    /// Number of the ring key it was derived from.
    pub id: u8,
    /// State of that ring key.
    pub state: KeyState,
    pub(super) mac: MacKey,
    derived: Secret,
}

impl TenantKey {
    /// K_t = HMAC-SHA-256(ring key, "cupel-tenant-v1" | tenant u32 BE).
    #[must_use]
    pub fn derive(ring: &RingKey, tenant: TenantId) -> Self {
        let derived = MacKey::new(ring.secret.expose())
            .digest(&[b"cupel-tenant-v1", &tenant.get().to_be_bytes()]);
        Self {
            id: ring.id,
            state: ring.state,
            mac: MacKey::new(&derived),
            derived: Secret::new(derived),
        }
    }

    /// The derived key, for a tenant that mints offline.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.derived.expose()
    }
}

/// Every key of the ring, derived for one tenant, looked up by key id without a search.
#[derive(Clone, Debug)]
pub struct TenantKeys {
    keys: Vec<TenantKey>,
    /// Index + 1 into `keys` for each key id; 0 where the ring has no such key.
    by_id: [u8; 256],
    recipient: MacKey,
    signing: usize,
}

impl TenantKeys {
    /// Derives all keys of `ring` and S_t for `tenant`; `None` when no key of the ring signs.
    #[must_use]
    pub fn derive(ring: &[RingKey], recipient_secret: &Secret, tenant: TenantId) -> Option<Self> {
        let keys: Vec<_> = ring
            .iter()
            .map(|key| TenantKey::derive(key, tenant))
            .collect();
        let signing = keys.iter().position(|key| key.state == KeyState::Signing)?;
        let mut by_id = [0; 256];
        for (index, key) in keys.iter().enumerate() {
            if let Some(slot) = by_id.get_mut(usize::from(key.id)) {
                *slot = u8::try_from(index + 1).ok()?;
            }
        }
        let s_t = MacKey::new(recipient_secret.expose())
            .digest(&[b"cupel-recipient-v1", &tenant.get().to_be_bytes()]);
        Some(Self {
            keys,
            by_id,
            recipient: MacKey::new(&s_t),
            signing,
        })
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&TenantKey> {
        let slot = *self.by_id.get(usize::from(id))?;
        self.keys.get(usize::from(slot.checked_sub(1)?))
    }

    /// The key that signs new tokens.
    #[must_use]
    pub fn signing(&self) -> Option<&TenantKey> {
        self.keys.get(self.signing)
    }

    /// Recipient key of a sender's own recipient id in one campaign.
    ///
    /// The id's exact UTF-8 bytes count: not trimmed, not case-folded. `None` when it is empty
    /// or longer than [`RECIPIENT_ID_BYTES_MAX`].
    #[must_use]
    pub fn recipient_key(&self, id: &str, campaign: CampaignId) -> Option<RecipientKey> {
        if id.is_empty() || id.len() > RECIPIENT_ID_BYTES_MAX {
            return None;
        }
        let root = self.recipient.digest(&[id.as_bytes()]);
        let key = MacKey::new(root.first_chunk::<16>()?).digest(&[&campaign.get().to_be_bytes()]);
        Some(RecipientKey::from_bytes(*key.first_chunk::<10>()?))
    }
}
