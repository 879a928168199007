//! The key ring on disk: `keys/ring.toml`, readable by its owner only.
//!
//! The directory with it is worth more than the database: lose it and every link ever mailed is
//! dead. It is replaced whole or not at all.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::domain::campaign::TenantId;
use crate::domain::id_map::IdMap;
use crate::domain::keys::{KeyState, RingKey, Secret, TenantKeys};
use crate::whole_file;

const FILE: &str = "ring.toml";

/// Why the key ring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// A file cannot be read or written.
    #[error("key ring {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a key ring.
    #[error("key ring {path}: {what}; restore it from your backup, never make a new one")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// All 255 numbers are taken.
    #[error("the ring is full: 255 keys")]
    Full,
    /// No key has this number.
    #[error("the ring has no key {0}")]
    Unknown(u8),
    /// The change would leave the ring without a signing key.
    #[error("key {0} signs new tokens; rotate first")]
    Signs(u8),
    /// Keys only age: one that was given away must not come back.
    #[error("key {0} can only go on from verifying to aged to revoked")]
    Backwards(u8),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    recipient_secret: String,
    id_secret: String,
    key: Vec<WrittenKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: u8,
    state: KeyState,
    secret: String,
}

/// The keys of one installation.
#[derive(Debug)]
pub struct KeyRing {
    path: PathBuf,
    keys: Vec<RingKey>,
    recipient: Secret,
    ids: Secret,
}

impl KeyRing {
    /// Opens the ring in `directory`, or makes one if there is none and nothing has been signed
    /// yet (`fresh`).
    ///
    /// # Errors
    /// It cannot be read, is not a ring, is missing, or cannot be made.
    pub fn open(directory: &Path, fresh: bool) -> Result<Self, KeyRingError> {
        let path = directory.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => parse(path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                let what = "is not UTF-8; put it back from its backup".to_owned();
                Err(KeyRingError::Form { path, what })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !fresh => {
                let what = "is missing, and links signed with it are out".to_owned();
                Err(KeyRingError::Form { path, what })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory);
                made.map_err(io(directory))?;
                let first = RingKey {
                    id: 1,
                    state: KeyState::Signing,
                    secret: random(&path)?,
                };
                let (recipient, ids) = (random(&path)?, random(&path)?);
                let ring = Self {
                    path,
                    keys: vec![first],
                    recipient,
                    ids,
                };
                ring.save()?;
                Ok(ring)
            }
            Err(error) => Err(io(&path)(error)),
        }
    }

    /// Keys of the ring: number and state.
    pub fn keys(&self) -> impl Iterator<Item = (u8, KeyState)> + '_ {
        self.keys.iter().map(|key| (key.id, key.state))
    }

    /// Sixteen bytes under which ids of agent strings and header sets are hashed.
    #[must_use]
    pub fn id_key(&self) -> [u8; 16] {
        self.ids.expose().first_chunk().copied().unwrap_or_default()
    }

    /// Keys of each of `tenants`.
    #[must_use]
    pub fn derive(&self, tenants: &[TenantId]) -> IdMap<TenantId, Arc<TenantKeys>> {
        let derived = tenants.iter().filter_map(|tenant| {
            let keys = TenantKeys::derive(&self.keys, &self.recipient, *tenant)?;
            Some((*tenant, Arc::new(keys)))
        });
        derived.collect()
    }

    /// Adds a key that signs from now on; the one before goes on verifying. Returns its number.
    ///
    /// # Errors
    /// The ring is full or cannot be written; then nothing has changed.
    pub fn rotate(&mut self) -> Result<u8, KeyRingError> {
        let free = (1..=u8::MAX).find(|id| self.keys.iter().all(|key| key.id != *id));
        let id = free.ok_or(KeyRingError::Full)?;
        let mut keys = self.keys.clone();
        for key in &mut keys {
            if key.state == KeyState::Signing {
                key.state = KeyState::Verifying;
            }
        }
        keys.push(RingKey {
            id,
            state: KeyState::Signing,
            secret: random(&self.path)?,
        });
        self.replace(keys)?;
        Ok(id)
    }

    /// Moves a key that does not sign to another state.
    ///
    /// # Errors
    /// There is no such key, it signs, or the ring cannot be written.
    pub fn set_state(&mut self, id: u8, state: KeyState) -> Result<(), KeyRingError> {
        let mut keys = self.keys.clone();
        let key = keys
            .iter_mut()
            .find(|key| key.id == id)
            .ok_or(KeyRingError::Unknown(id))?;
        if key.state == KeyState::Signing {
            return Err(KeyRingError::Signs(id));
        }
        if state < key.state {
            return Err(KeyRingError::Backwards(id));
        }
        key.state = state;
        self.replace(keys)
    }

    fn replace(&mut self, keys: Vec<RingKey>) -> Result<(), KeyRingError> {
        let before = std::mem::replace(&mut self.keys, keys);
        let saved = self.save();
        if saved.is_err() {
            self.keys = before;
        }
        saved
    }

    fn save(&self) -> Result<(), KeyRingError> {
        let written = Written {
            recipient_secret: HEXLOWER.encode(self.recipient.expose()),
            id_secret: HEXLOWER.encode(self.ids.expose()),
            key: self
                .keys
                .iter()
                .map(|key| WrittenKey {
                    id: key.id,
                    state: key.state,
                    secret: HEXLOWER.encode(key.secret.expose()),
                })
                .collect(),
        };
        let text = toml::to_string(&written).map_err(|error| KeyRingError::Form {
            path: self.path.clone(),
            what: error.to_string(),
        })?;
        let written = whole_file::write(&self.path, text.as_bytes());
        written.map_err(io(&self.path))
    }
}

fn parse(path: PathBuf, text: &str) -> Result<KeyRing, KeyRingError> {
    let form = |what: String| KeyRingError::Form {
        path: path.clone(),
        what,
    };
    let written: Written =
        toml::from_str(text).map_err(|error| form(error.message().replace('\n', " ")))?;
    let secret = |text: &str, name: &str| {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(Secret::new)
            .ok_or_else(|| form(format!("{name} is not 64 hex digits")))
    };
    let mut keys = Vec::with_capacity(written.key.len());
    for key in &written.key {
        if keys.iter().any(|before: &RingKey| before.id == key.id) {
            return Err(form(format!("key {} stands twice", key.id)));
        }
        let secret = secret(&key.secret, &format!("the secret of key {}", key.id))?;
        keys.push(RingKey {
            id: key.id,
            state: key.state,
            secret,
        });
    }
    if keys
        .iter()
        .filter(|key| key.state == KeyState::Signing)
        .count()
        != 1
    {
        return Err(form("not exactly one key is \"signing\"".to_owned()));
    }
    let recipient = secret(&written.recipient_secret, "recipient_secret")?;
    let ids = secret(&written.id_secret, "id_secret")?;
    Ok(KeyRing {
        path,
        keys,
        recipient,
        ids,
    })
}

fn random(path: &Path) -> Result<Secret, KeyRingError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io(path)(std::io::Error::other(error)))?;
    Ok(Secret::new(bytes))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> KeyRingError {
    let path = path.to_owned();
    move |source| KeyRingError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_read_back_and_always_has_one_signing_key() {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        let mut ring = KeyRing::open(&keys, true).unwrap();
        assert_eq!(ring.rotate().unwrap(), 2);
        assert!(matches!(
            ring.set_state(2, KeyState::Aged),
            Err(KeyRingError::Signs(2))
        ));
        ring.set_state(1, KeyState::Revoked).unwrap();
        assert!(matches!(
            ring.set_state(1, KeyState::Aged),
            Err(KeyRingError::Backwards(1))
        ));
        let elsewhere = directory.path().join("lost");
        assert!(matches!(
            KeyRing::open(&elsewhere, false),
            Err(KeyRingError::Form { .. })
        ));
        let again = KeyRing::open(&keys, true).unwrap();
        let states: Vec<_> = again.keys().collect();
        assert_eq!(states, [(1, KeyState::Revoked), (2, KeyState::Signing)]);
        assert_eq!(again.id_key(), ring.id_key());

        let path = keys.join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [text.replace("signing", "aged").as_bytes(), b"\xff"] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(
                KeyRing::open(&keys, true),
                Err(KeyRingError::Form { .. })
            ));
        }
    }
}
