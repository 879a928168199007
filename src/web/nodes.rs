//! What the nodes of one installation share in their store: the catalogue, and the key ring under a
//! seal that the database cannot open.

use std::sync::PoisonError;

use crate::domain::campaign::TenantId;
use crate::domain::time::Micros;
use crate::journal::EdgeId;
use crate::resolve::{KeyRing, KeyRingError};
use crate::store::{Place, Store, StoreError};

use super::Parts;

/// What the ring is sealed as.
const RING: &str = "cupel key ring";
/// No version of the database's: it is in force and not on the disk.
const UNSAVED: i64 = -1;
/// How often two nodes may come between each other in one exchange.
const EXCHANGES_MAX: u32 = 5;

/// Why a key ring could not be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ring here, or what the database has.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The system gives no random numbers, or the database has something else in its place.
    #[error(
        "the key ring in the database cannot be opened; compare keys/ring.toml with that of \
         another node"
    )]
    Sealed,
    /// Another node changed it meanwhile.
    #[error("another node has changed the keys; try again")]
    Meanwhile,
}

/// Whether this node knows another version of the ring than this one.
#[must_use]
pub fn ring_differs(parts: &Parts, version: i64) -> bool {
    ring(parts).version() != version
}

/// Brings the ring of this node and that of the store together: what either has done to its keys is
/// done in both. The database is found to be nobody's, ours, or another installation's.
///
/// # Errors
/// See [`ShareError`]; nothing has changed here.
pub async fn exchange_ring(parts: &Parts, store: &Store) -> Result<(), ShareError> {
    let Some(shared) = store.shared() else {
        return Ok(());
    };
    for _ in 0..EXCHANGES_MAX {
        let mine = ring(parts);
        let sealed = sealed(&mine)?;
        let edge = parts.journal.edge();
        let stored = shared.installation(&mine.mark(), &sealed, edge).await?;
        let seal = mine.seal().ok_or(ShareError::Sealed)?;
        let theirs = seal.open(RING, &stored.ring).ok_or(ShareError::Sealed)?;
        let theirs = String::from_utf8(theirs).map_err(|_| ShareError::Sealed)?;
        let mut merged = mine.merged(&theirs)?;
        let text = merged.text()?;
        let mut version = stored.ring_version;
        if text != theirs {
            let sealed = self::sealed(&merged)?;
            if !shared.put_ring(version, &sealed).await? {
                continue;
            }
            version += 1;
        }
        merged.set_version(version);
        let changed = text != mine.text()? || mine.version() == UNSAVED;
        take_ring(parts, merged, changed)?;
        return Ok(());
    }
    Err(ShareError::Meanwhile)
}

/// Sees to it that the store is this installation's, and of nobody else.
///
/// # Errors
/// It is not, or is not available.
pub async fn check_owner(store: &Store, ring: &KeyRing, edge: EdgeId) -> Result<(), ShareError> {
    if let Some(shared) = store.shared() {
        let sealed = sealed(ring)?;
        shared.installation(&ring.mark(), &sealed, edge).await?;
    }
    Ok(())
}

/// Makes the store there that of these keys: it was filled from what they have signed.
///
/// # Errors
/// It is not available.
pub async fn claim(place: &Place, ring: &KeyRing, now: Micros) -> Result<(), ShareError> {
    let store = Store::open(place, now).await?;
    let mut claimed = Ok(());
    if let Some(shared) = store.shared() {
        claimed = shared.claim(&ring.mark(), &sealed(ring)?).await;
    }
    store.close().await;
    Ok(claimed?)
}

/// Gives the store a ring that was changed here, before it is in force: whatever it signs, other
/// nodes must know by then.
///
/// # Errors
/// See [`ShareError`]; nothing has changed.
pub(super) async fn offer_ring(store: &Store, next: &mut KeyRing) -> Result<(), ShareError> {
    let Some(shared) = store.shared() else {
        return Ok(());
    };
    let version = next.version();
    if !shared.put_ring(version, &sealed(next)?).await? {
        return Err(ShareError::Meanwhile);
    }
    next.set_version(version + 1);
    Ok(())
}

/// Puts a ring into force, and onto the disk if it is new.
///
/// # Errors
/// It cannot be written; it is in force all the same.
pub(super) fn take_ring(
    parts: &Parts,
    mut next: KeyRing,
    changed: bool,
) -> Result<(), KeyRingError> {
    let mut saved = Ok(());
    if changed {
        // Readers come first: what others sign with it is mailed.
        parts.catalogue.set_keys(next.derive(&[TenantId::FIRST]));
        saved = next.save();
    }
    if saved.is_err() {
        // Found to differ, and tried again.
        next.set_version(UNSAVED);
    }
    let ring = parts.key_ring.lock();
    *ring.unwrap_or_else(PoisonError::into_inner) = next;
    saved
}

fn ring(parts: &Parts) -> KeyRing {
    let ring = parts.key_ring.lock();
    ring.unwrap_or_else(PoisonError::into_inner).clone()
}

fn sealed(ring: &KeyRing) -> Result<Vec<u8>, ShareError> {
    let text = ring.text()?;
    let seal = ring.seal().ok_or(ShareError::Sealed)?;
    seal.seal(RING, text.as_bytes()).ok_or(ShareError::Sealed)
}
