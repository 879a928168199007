//! The key ring on disk: `keys/ring.toml`, readable by its owner only.
//!
//! The directory with it is worth more than the database: lose it and every link ever mailed is
//! dead. It is replaced whole or not at all.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::campaign::TenantId;
use crate::domain::id_map::IdMap;
use crate::domain::keys::{KeyState, MacKey, RingKey, Secret, TenantKeys};
use crate::domain::seal::Seal;
use crate::whole_file;

use super::key_file;

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

/// The keys of one installation.
#[derive(Clone, Debug)]
pub struct KeyRing {
    path: PathBuf,
    version: i64,
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
                private_directory(directory)?;
                let first = RingKey {
                    id: 1,
                    state: KeyState::Signing,
                    secret: random(&path)?,
                };
                let (recipient, ids) = (random(&path)?, random(&path)?);
                let ring = Self {
                    path,
                    version: 0,
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

    /// Whether a text is a ring.
    ///
    /// # Errors
    /// It is none.
    pub fn check(text: &str) -> Result<(), KeyRingError> {
        parse(PathBuf::from("of the backup"), text).map(|_| ())
    }

    /// Puts a ring from a backup into `directory`; together with the one that is there.
    ///
    /// # Errors
    /// Another installation's is there, or it cannot be written.
    pub fn restore(directory: &Path, text: &str) -> Result<(), KeyRingError> {
        let path = directory.join(FILE);
        let ring = if path.exists() {
            Self::open(directory, false)?.merged(text)?
        } else {
            private_directory(directory)?;
            parse(path, text)?
        };
        ring.save()
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

    /// Names this installation to a database, which others must not write to.
    #[must_use]
    pub fn mark(&self) -> [u8; 32] {
        self.derived(b"cupel-installation-v1")
    }

    /// For what its nodes leave for each other in the database. The recipient secret, which this
    /// comes of, is never rotated.
    #[must_use]
    pub fn seal(&self) -> Option<Seal> {
        Seal::new(&self.derived(b"cupel-seal-v1"))
    }

    fn derived(&self, purpose: &[u8]) -> [u8; 32] {
        MacKey::new(self.recipient.expose()).digest(&[purpose, self.ids.expose()])
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
    /// Nothing is written before [`Self::save`].
    ///
    /// # Errors
    /// The ring is full; then nothing has changed.
    pub fn rotate(&mut self) -> Result<u8, KeyRingError> {
        let free = (1..=u8::MAX).find(|id| self.keys.iter().all(|key| key.id != *id));
        let id = free.ok_or(KeyRingError::Full)?;
        let secret = random(&self.path)?;
        for key in &mut self.keys {
            if key.state == KeyState::Signing {
                key.state = KeyState::Verifying;
            }
        }
        self.keys.push(RingKey {
            id,
            state: KeyState::Signing,
            secret,
        });
        Ok(id)
    }

    /// Moves a key that does not sign to another state. Nothing is written before [`Self::save`].
    ///
    /// # Errors
    /// There is no such key, or it signs.
    pub fn set_state(&mut self, id: u8, state: KeyState) -> Result<(), KeyRingError> {
        let keys = &mut self.keys;
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
        Ok(())
    }

    /// Writes it to its file.
    ///
    /// # Errors
    /// It cannot be written; the file is as it was.
    pub fn save(&self) -> Result<(), KeyRingError> {
        let written = whole_file::write(&self.path, self.text()?.as_bytes());
        written.map_err(io(&self.path))
    }

    /// The ring as its file has it.
    ///
    /// # Errors
    /// It has no such form.
    pub fn text(&self) -> Result<String, KeyRingError> {
        let text = key_file::write(&self.keys, &self.recipient, &self.ids);
        text.map_err(|what| KeyRingError::Form {
            path: self.path.clone(),
            what,
        })
    }

    /// This ring with what another node of the installation knows of it. Keys only age, so that
    /// neither can take back what the other has done.
    ///
    /// # Errors
    /// The other is none of this installation, or has another key under a number of ours.
    pub fn merged(&self, other: &str) -> Result<Self, KeyRingError> {
        let other = parse(self.path.clone(), other)?;
        let form = |what: String| KeyRingError::Form {
            path: self.path.clone(),
            what,
        };
        if other.mark() != self.mark() {
            return Err(form("is of another installation".to_owned()));
        }
        let mut keys = self.keys.clone();
        for theirs in other.keys {
            match keys.iter_mut().find(|ours| ours.id == theirs.id) {
                Some(ours) if ours.secret != theirs.secret => {
                    let what = format!("has another key {} than the database", ours.id);
                    return Err(form(what));
                }
                Some(ours) => ours.state = ours.state.max(theirs.state),
                None => keys.push(theirs),
            }
        }
        keys.sort_unstable_by_key(|key| key.id);
        let signs = |key: &RingKey| key.state == KeyState::Signing;
        let newest = keys.iter().rev().find(|key| signs(key)).map(|key| key.id);
        for key in &mut keys {
            if signs(key) && Some(key.id) != newest {
                key.state = KeyState::Verifying;
            }
        }
        Ok(Self {
            keys,
            ..self.clone()
        })
    }

    /// Which one it is of those that the database has had; 0 before it was asked.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// It is this one of the database.
    pub const fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

fn parse(path: PathBuf, text: &str) -> Result<KeyRing, KeyRingError> {
    match key_file::parse(text) {
        Ok((keys, recipient, ids)) => Ok(KeyRing {
            path,
            version: 0,
            keys,
            recipient,
            ids,
        }),
        Err(what) => Err(KeyRingError::Form { path, what }),
    }
}

fn private_directory(path: &Path) -> Result<(), KeyRingError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(io(path))
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
        ring.save().unwrap();
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
        let bare = text.split_once('#').unwrap().0;
        let flipped = text.replacen("secret = \"", "secret = \"0", 1);
        for damaged in [
            bare.replace("signing", "aged").as_bytes(),
            text.replace("\"revoked\"", "\"aged\"").as_bytes(),
            flipped.as_bytes(),
            b"\xff",
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(
                KeyRing::open(&keys, true),
                Err(KeyRingError::Form { .. })
            ));
        }
    }

    #[test]
    fn what_two_nodes_did_to_a_ring_comes_together() {
        let directory = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(&directory.path().join("keys"), true).unwrap();
        let (mut one, mut other) = (ring.clone(), ring.clone());
        one.rotate().unwrap();
        let states = |ring: &KeyRing| ring.keys().collect::<Vec<_>>();
        let wanted = [(1, KeyState::Verifying), (2, KeyState::Signing)];
        let text = |ring: &KeyRing| ring.text().unwrap();
        assert_eq!(states(&other.merged(&text(&one)).unwrap()), wanted);
        assert_eq!(states(&one.merged(&text(&other)).unwrap()), wanted);
        one.set_state(1, KeyState::Aged).unwrap();
        let old = other.merged(&text(&one)).unwrap();
        assert_eq!(states(&old), states(&one));
        // Two keys of one number: tokens of one of them would be of no use.
        other.rotate().unwrap();
        assert!(other.merged(&text(&one)).is_err());
        let stranger = KeyRing::open(&directory.path().join("others"), true).unwrap();
        assert!(one.merged(&text(&stranger)).is_err());
    }
}
