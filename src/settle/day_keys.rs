//! Keys under which sources are hashed: one a day, destroyed 48 hours after its day began, so
//! that neighbours can be told for two days and nobody can be found later.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::domain::keys::MacKey;
use crate::domain::record::Hit;
use crate::domain::seal::Seal;
use crate::domain::time::Micros;
use crate::store::{Shared, StoreError};
use crate::whole_file;

use super::is_near;

/// One day's key.
#[derive(Clone, Debug)]
pub(super) struct DayKey {
    day: i64,
    bytes: [u8; 32],
    mac: MacKey,
}

impl DayKey {
    fn new(day: i64, bytes: [u8; 32]) -> Self {
        Self {
            day,
            bytes,
            mac: MacKey::new(&bytes),
        }
    }

    /// Hash of address and fingerprint.
    pub(super) fn source(&self, address: IpAddr, hit: &Hit) -> u64 {
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let digest = self.mac.digest(&[
            &address,
            &hit.agent.to_le_bytes(),
            &hit.headers.to_le_bytes(),
        ]);
        digest.first_chunk().copied().map_or(0, u64::from_le_bytes)
    }
}

/// Where they are kept.
#[derive(Debug)]
enum Kept {
    /// In this file, of an edge that has its store for itself.
    File(PathBuf),
    /// In the store, under this seal: a source is to have one hash at every edge.
    Shared(Seal),
}

/// Today's key and yesterday's.
#[derive(Debug)]
pub(super) struct DayKeys {
    kept: Kept,
    keys: Vec<DayKey>,
    fetched_at: Option<Micros>,
}

impl DayKeys {
    pub(super) const fn shared(seal: Seal) -> Self {
        Self {
            kept: Kept::Shared(seal),
            keys: Vec::new(),
            fetched_at: None,
        }
    }

    /// Fetches today's key if it is missing, and makes it if no edge has.
    pub(super) async fn fetch(
        &mut self,
        shared: Shared<'_>,
        now: Micros,
    ) -> Result<(), StoreError> {
        let Kept::Shared(seal) = &self.kept else {
            return Ok(());
        };
        let today = now.day();
        let lately = |at: Micros| is_near(at, now) && at.day() == today;
        if self.keys.iter().any(|key| key.day == today) || self.fetched_at.is_some_and(lately) {
            return Ok(());
        }
        let name = |day: i64| format!("cupel day {day}");
        let mut bytes = [0; 32];
        let random = getrandom::fill(&mut bytes).ok();
        let sealed = random.and_then(|()| seal.seal(&name(today), &bytes));
        let sealed = sealed.ok_or(StoreError::Unreadable("day key to be made"))?;
        let kept = shared.day_keys(today, &sealed).await?;
        let keys = kept.into_iter().map(|(day, sealed)| {
            let bytes = seal.open(&name(day), &sealed)?;
            Some(DayKey::new(day, *bytes.first_chunk()?))
        });
        let keys: Vec<Option<_>> = keys.collect();
        if keys.iter().any(Option::is_none) {
            // Hits are counted all the same, without a source.
            tracing::error!("settle: a day key in the database cannot be opened");
        }
        self.keys = keys.into_iter().flatten().collect();
        self.fetched_at = Some(now);
        Ok(())
    }

    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let keys = text.lines().filter_map(|line| {
            let (day, key) = line.split_once(' ')?;
            let key = HEXLOWER.decode(key.as_bytes()).ok()?;
            Some(DayKey::new(day.parse().ok()?, *key.first_chunk()?))
        });
        Ok(Self {
            kept: Kept::File(path.to_owned()),
            keys: keys.collect(),
            fetched_at: None,
        })
    }

    /// Makes the key of today if it is missing, and destroys those before yesterday's.
    pub(super) fn turn(&mut self, now: Micros) -> std::io::Result<()> {
        let today = now.day();
        let Kept::File(path) = &self.kept else {
            self.keys.retain(|key| key.day >= today - 1);
            return Ok(());
        };
        if self.keys.iter().any(|key| key.day == today)
            && self.keys.iter().all(|key| key.day >= today - 1)
        {
            return Ok(());
        }
        let mut keys: Vec<_> = self
            .keys
            .iter()
            .filter(|key| key.day >= today - 1)
            .cloned()
            .collect();
        if keys.iter().all(|key| key.day != today) {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
            keys.push(DayKey::new(today, bytes));
        }
        let lines = keys
            .iter()
            .map(|key| format!("{} {}\n", key.day, HEXLOWER.encode(&key.bytes)));
        let text: String = lines.collect();
        whole_file::write(path, text.as_bytes())?;
        // Only now: a write that failed is tried again, until the old keys are gone.
        self.keys = keys;
        Ok(())
    }

    /// The key of the day that `at` lies in.
    pub(super) fn of(&self, at: Micros) -> Option<&DayKey> {
        self.keys.iter().find(|key| key.day == at.day())
    }
}
