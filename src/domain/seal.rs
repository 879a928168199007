//! What nodes of one installation leave for each other in a database that must not be able to read
//! it: AES-256-GCM under a key that is derived from the installation's own (DESIGN 5.2).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// Seals and opens. Copies share the key.
#[derive(Clone)]
pub struct Seal(Arc<RandomizedNonceKey>);

impl Seal {
    /// With a key that is used for nothing else.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
        Some(Self(Arc::new(key)))
    }

    /// The sealed form of `text`: nonce, ciphertext, tag. It opens as the same `what` only.
    #[must_use]
    pub fn seal(&self, what: &str, text: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = text.to_vec();
        let about = Aad::from(what.as_bytes());
        let nonce = self.0.seal_in_place_append_tag(about, &mut sealed).ok()?;
        let mut out = nonce.as_ref().to_vec();
        out.extend_from_slice(&sealed);
        Some(out)
    }

    /// What was sealed; `None` if it was not, or with another key, or as something else.
    #[must_use]
    pub fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let about = Aad::from(what.as_bytes());
        let opened = self.0.open_in_place(nonce, about, &mut text).ok()?;
        Some(opened.to_vec())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Seal(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_purpose_open_it_and_only_whole() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.seal("ring 3", b"secret").unwrap();
        assert_eq!(seal.open("ring 3", &sealed).unwrap(), b"secret");
        assert_ne!(seal.seal("ring 3", b"secret").unwrap(), sealed, "nonces");
        assert_eq!(seal.open("ring 4", &sealed), None);
        assert_eq!(Seal::new(&[8; 32]).unwrap().open("ring 3", &sealed), None);
        for end in 0..sealed.len() {
            assert_eq!(seal.open("ring 3", sealed.get(..end).unwrap()), None);
        }
        let mut flipped = sealed;
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(seal.open("ring 3", &flipped), None);
    }
}
