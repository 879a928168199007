//! A file system that forgets: what was not synced may be lost, torn at 512 bytes, in any order
//! across files and names; a failed sync loses what it should have kept and says so once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::domain::time::Micros;
use crate::journal::disk::{Disk, DiskFile, Memory};

const SECTOR: usize = 512;

/// What a sabotaged or faulty file system does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Every write fails: no space.
    pub(super) full: bool,
    /// So many changes of files and names, and then it is full.
    pub(super) changes_left: Option<u8>,
    /// Syncs say that they worked and do nothing.
    pub(super) skip_sync: bool,
    /// Directory syncs say that they worked and do nothing.
    pub(super) skip_directory_sync: bool,
    /// The next sync of a file fails, once.
    pub(super) fail_sync: bool,
    /// Syncs of files do not come back while this is set.
    pub(super) hang_sync: bool,
}

impl Faults {
    /// Whether there is room for a change, which this one is then.
    fn may_change(&mut self) -> bool {
        match &mut self.changes_left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                !self.full
            }
            None => !self.full,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ, as far as the kernel knows.
    dirty: BTreeSet<usize>,
    mapped: Option<Arc<[AtomicU64]>>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Sectors that cannot be read, by inode.
    bad: BTreeSet<(usize, usize)>,
    faults: Faults,
}

/// The file system; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

#[derive(Debug)]
struct ModelFile {
    model: Model,
    inode: usize,
}

impl Inode {
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / SECTOR..end.div_ceil(SECTOR));
    }

    fn persist(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(self.cached.len());
        if from >= to {
            return;
        }
        if self.durable.len() < to {
            self.durable.resize(to, 0);
        }
        self.durable[from..to].copy_from_slice(&self.cached[from..to]);
    }

    /// Takes over what was stored through the mapping.
    fn unmap(&mut self) {
        let Some(words) = self.mapped.clone() else {
            return;
        };
        let now: Vec<u8> = words
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect();
        for sector in 0..now.len().div_ceil(SECTOR) {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(now.len()));
            if self.cached[from..to] != now[from..to] {
                self.cached[from..to].copy_from_slice(&now[from..to]);
                self.dirty.insert(sector);
            }
        }
    }
}

impl Model {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock().faults);
    }

    /// The kernel writes back whatever `choose` picks.
    pub(super) fn write_back(&self, mut choose: impl FnMut() -> bool) {
        for inode in &mut self.lock().inodes {
            inode.unmap();
            let picked: Vec<_> = inode.dirty.iter().copied().filter(|_| choose()).collect();
            for sector in picked {
                inode.persist(sector);
                inode.dirty.remove(&sector);
            }
        }
    }

    /// The process dies: what it stored and wrote stays.
    pub(super) fn kill(&self) {
        for inode in &mut self.lock().inodes {
            inode.unmap();
            inode.mapped = None;
        }
    }

    /// The power fails: of what was not synced, `choose` says what is kept.
    pub(super) fn cut(&self, mut choose: impl FnMut() -> bool) {
        self.kill();
        let state = &mut *self.lock();
        for inode in &mut state.inodes {
            for sector in std::mem::take(&mut inode.dirty) {
                if choose() {
                    inode.persist(sector);
                }
            }
            inode.cached = inode.durable.clone();
        }
        let all = state.names.keys().chain(state.durable_names.keys());
        let all: BTreeSet<_> = all.cloned().collect();
        let kept = all.into_iter().filter_map(|name| {
            let from = if choose() {
                &state.names
            } else {
                &state.durable_names
            };
            let inode = *from.get(&name)?;
            Some((name, inode))
        });
        state.names = kept.collect();
        state.durable_names = state.names.clone();
        let (skip_sync, skip_directory_sync) =
            (state.faults.skip_sync, state.faults.skip_directory_sync);
        state.faults = Faults {
            skip_sync,
            skip_directory_sync,
            ..Faults::default()
        };
    }

    /// A file's bytes, to be looked at or damaged.
    pub(super) fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *self.lock();
        let inode = &mut state.inodes[state.names[name]];
        change(&mut inode.cached);
        inode.durable = inode.cached.clone();
    }

    /// The sector of a file that holds this byte can no longer be read.
    pub(super) fn spoil(&self, name: &str, at: usize) {
        let state = &mut *self.lock();
        state.bad.insert((state.names[name], at / SECTOR));
    }

    /// A copy that knows nothing of this one.
    pub(super) fn copy(&self) -> Self {
        let state = self.lock();
        Self(Arc::new(Mutex::new(State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            bad: state.bad.clone(),
            faults: state.faults,
        })))
    }

    /// What is stored in a mapped file.
    pub(super) fn stored(&self, name: &str) -> Arc<[AtomicU64]> {
        let state = self.lock();
        state.inodes[state.names[name]].mapped.clone().unwrap()
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        let found = self.lock().names.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, inode: usize) -> Arc<dyn DiskFile> {
        let model = self.clone();
        Arc::new(ModelFile { model, inode })
    }
}

impl Disk for Model {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = &mut *self.lock();
        if !state.faults.may_change() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A truncated file is a new one here: the old bytes may come back by the old name.
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.inode(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.inode(from)?;
        let state = &mut *self.lock();
        if state.faults.changes_left.is_some() && !state.faults.may_change() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inode(name)?;
        self.lock().names.remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let state = &mut *self.lock();
        if !state.faults.skip_directory_sync {
            state.durable_names = state.names.clone();
        }
        Ok(())
    }

    fn map(&self, name: &str, bytes: usize) -> io::Result<Memory> {
        let inode = self.inode(name)?;
        let inode = &mut self.lock().inodes[inode];
        let words = inode.cached[..bytes].chunks_exact(8);
        let words: Arc<[AtomicU64]> = words
            .map(|word| AtomicU64::new(u64::from_ne_bytes(word.try_into().unwrap())))
            .collect();
        inode.mapped = Some(Arc::clone(&words));
        Ok(Memory::Heap(words))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

impl DiskFile for ModelFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.model.lock().inodes[self.inode].cached.len() as u64)
    }

    fn modified(&self) -> io::Result<Micros> {
        Ok(Micros::default())
    }

    fn read_at(&self, to: &mut [u8], from: u64) -> io::Result<usize> {
        let state = self.model.lock();
        let bytes = &state.inodes[self.inode].cached;
        let from = usize::try_from(from).unwrap();
        let rest = bytes.get(from..).unwrap_or_default();
        let read = rest.len().min(to.len());
        let sectors = from / SECTOR..(from + read).div_ceil(SECTOR);
        if sectors
            .into_iter()
            .any(|sector| state.bad.contains(&(self.inode, sector)))
        {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        to[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let state = &mut *self.model.lock();
        let at = usize::try_from(at).unwrap();
        if !state.faults.may_change() {
            // Part of it may have found room.
            state.inodes[self.inode].write(&bytes[..bytes.len() / 3], at);
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.inodes[self.inode].write(bytes, at);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        while self.model.lock().faults.hang_sync {
            std::thread::sleep(Duration::from_millis(1));
        }
        let state = &mut *self.model.lock();
        if state.faults.skip_sync {
            return Ok(());
        }
        let failed = std::mem::take(&mut state.faults.fail_sync);
        let inode = &mut state.inodes[self.inode];
        for sector in std::mem::take(&mut inode.dirty) {
            // After a failed sync the kernel calls lost pages clean.
            if !failed {
                inode.persist(sector);
            }
        }
        if failed {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}
