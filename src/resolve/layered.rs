//! A map by id of which readers hold cheap copies: a frozen base and a small delta.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use crate::domain::id_map::IdMap;

/// A delta larger than this is folded into a new base: an edit then copies everything once, so
/// that the thousand edits before it copied little.
const DELTA_MAX: usize = 1_024;

#[derive(Clone, Debug)]
pub(super) struct Layered<K, V> {
    base: Arc<IdMap<K, V>>,
    delta: IdMap<K, V>,
}

impl<K, V> Default for Layered<K, V> {
    fn default() -> Self {
        Self {
            base: Arc::new(IdMap::default()),
            delta: IdMap::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Layered<K, V> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if self.delta.is_empty() {
            return self.base.get(key);
        }
        self.delta.get(key).or_else(|| self.base.get(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.delta.insert(key, value);
        if self.delta.len() > DELTA_MAX + self.base.len() / 16 {
            self.fold();
        }
    }

    /// The value of a key, to be changed; made if there is none.
    pub(super) fn get_mut_or_else(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let base = &self.base;
        if self.delta.len() > DELTA_MAX + base.len() / 16 && !self.delta.contains_key(&key) {
            self.fold();
        }
        let base = &self.base;
        self.delta
            .entry(key)
            .or_insert_with_key(|key| base.get(key).cloned().unwrap_or_else(make))
    }

    /// Puts everything into the base.
    pub(super) fn fold(&mut self) {
        if self.delta.is_empty() {
            return;
        }
        let delta = std::mem::take(&mut self.delta);
        match Arc::get_mut(&mut self.base) {
            Some(base) => base.extend(delta),
            None => {
                let mut base = IdMap::clone(&self.base);
                base.extend(delta);
                self.base = Arc::new(base);
            }
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        let base = self
            .base
            .iter()
            .filter(|(key, _)| !self.delta.contains_key(*key));
        base.chain(&self.delta)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries().map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        let new = self
            .delta
            .keys()
            .filter(|key| !self.base.contains_key(*key))
            .count();
        self.base.len() + new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_sees_what_was_there_and_the_map_sees_everything() {
        let mut map = Layered::<u32, u32>::default();
        for key in 0..3_000 {
            map.insert(key, key);
        }
        let copy = map.clone();
        map.insert(1, 100);
        map.insert(9_999, 1);
        assert_eq!(
            (copy.get(&1), copy.get(&9_999), copy.len()),
            (Some(&1), None, 3_000)
        );
        assert_eq!(
            (map.get(&1), map.get(&9_999), map.len()),
            (Some(&100), Some(&1), 3_001)
        );
        map.fold();
        assert_eq!(
            (map.get(&1), map.get(&2_999), map.len()),
            (Some(&100), Some(&2_999), 3_001)
        );
    }
}
