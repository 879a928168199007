//! Address ranges in memory: sorted starts with a value each, every key covered, gaps explicit as
//! the default value. Refuses nothing: what overlaps is settled here, for AS numbers by the finer
//! range, for lists by taking all.

use crate::domain::network::Lists;

/// An address as a number: IPv4 whole, IPv6 by its top 64 bits.
pub(super) trait Key: Copy + Ord {
    /// The lowest address.
    const ZERO: Self;
    /// Number of buckets of the index.
    const BUCKETS: usize;

    /// Bucket of an address. Never falls while addresses rise; below `BUCKETS`.
    fn bucket(self) -> usize;

    /// The address after this one, none after the last.
    fn next(self) -> Option<Self>;
}

impl Key for u32 {
    const ZERO: Self = 0;
    const BUCKETS: usize = 1 << 16;

    fn bucket(self) -> usize {
        (self >> 16) as usize
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u64 {
    const ZERO: Self = 0;
    // One for each /19 of 2000::/3, where all global unicast is, one below it and one above.
    const BUCKETS: usize = (1 << 16) + 2;

    fn bucket(self) -> usize {
        match self >> 61 {
            0 => 0,
            1 => 1 + ((self >> 45) & 0xffff) as usize,
            _ => Self::BUCKETS - 1,
        }
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A range as a source states it, both ends inclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<K> {
    pub(super) first: K,
    pub(super) last: K,
    pub(super) asn: u32,
}

/// Disjoint segments in rising order, the first at `Key::ZERO`, neighbours of different value.
pub(super) type Segments<K, V> = Vec<(K, V)>;

/// Appends a segment that begins at `start`, which is not below the last one's start.
fn append<K: Key, V: Copy + PartialEq>(to: &mut Segments<K, V>, start: K, value: V) {
    if to.last().is_some_and(|last| last.0 == start) {
        to.pop();
    }
    if to.last().is_none_or(|last| last.1 != value) {
        to.push((start, value));
    }
}

/// Segments of ranges in any order, and how many of the ranges began inside another.
///
/// Where ranges overlap, the one that begins later holds until its end, then the earlier goes on;
/// of two that begin together the shorter holds, of two equal ones the later in the list. For
/// nested ranges this is the usual rule that the finer one decides.
pub(super) fn settle<K: Key>(mut spans: Vec<Span<K>>) -> (Segments<K, u32>, usize) {
    spans.sort_by(|a, b| a.first.cmp(&b.first).then(b.last.cmp(&a.last)));
    let mut segments = vec![(K::ZERO, 0)];
    let mut open: Vec<(K, u32)> = Vec::new();
    let mut overlapping = 0;
    for span in spans {
        close(&mut open, &mut segments, Some(span.first));
        overlapping += usize::from(!open.is_empty());
        append(&mut segments, span.first, span.asn);
        open.push((span.last, span.asn));
    }
    close(&mut open, &mut segments, None);
    (segments, overlapping)
}

/// Ends the open ranges that end before `before`, and lets go on what they covered.
fn close<K: Key>(open: &mut Vec<(K, u32)>, segments: &mut Segments<K, u32>, before: Option<K>) {
    while let Some(&(end, _)) = open.last()
        && before.is_none_or(|before| end < before)
    {
        while open.last().is_some_and(|below| below.0 <= end) {
            open.pop();
        }
        if let Some(next) = end.next() {
            append(segments, next, open.last().map_or(0, |below| below.1));
        }
    }
}

/// Segments with the lists of all ranges that cover them.
pub(super) fn union<K: Key>(ranges: &[(K, K, Lists)]) -> Segments<K, Lists> {
    let mut edges = Vec::with_capacity(2 * ranges.len());
    for (first, last, list) in ranges {
        edges.push((*first, true, list.bits()));
        edges.extend(last.next().map(|next| (next, false, list.bits())));
    }
    edges.sort_unstable();
    let mut segments = vec![(K::ZERO, Lists::NONE)];
    let mut covering = [0_u32; u16::BITS as usize];
    for (at, begins, bits) in edges {
        let mut now = 0;
        for (bit, count) in covering.iter_mut().enumerate() {
            match (bits >> bit & 1 == 1, begins) {
                (true, true) => *count += 1,
                (true, false) => *count -= 1,
                (false, _) => {}
            }
            now |= u16::from(*count > 0) << bit;
        }
        append(&mut segments, at, Lists::from_bits(now));
    }
    segments
}

/// Segments made ready for lookup.
#[derive(Debug)]
pub(super) struct Ranges<K, V> {
    starts: Box<[K]>,
    values: Box<[V]>,
    /// Number of starts below each bucket, and below the end; empty for small tables.
    index: Box<[u32]>,
}

impl<K: Key, V: Copy + Default> Ranges<K, V> {
    pub(super) fn new(segments: &Segments<K, V>) -> Self {
        let starts: Box<[K]> = segments.iter().map(|segment| segment.0).collect();
        let values = segments.iter().map(|segment| segment.1).collect();
        // For a few ranges an index would cost more cache than it saves steps.
        let index = match u32::try_from(starts.len()) {
            Ok(_) if starts.len() >= K::BUCKETS / 64 => index(&starts),
            _ => Box::default(),
        };
        Self {
            starts,
            values,
            index,
        }
    }

    /// Value of the segment that holds `key`.
    pub(super) fn get(&self, key: K) -> V {
        let bucket = key.bucket();
        let (low, high) = match (self.index.get(bucket), self.index.get(bucket + 1)) {
            (Some(low), Some(high)) => (*low as usize, *high as usize),
            _ => (0, self.starts.len()),
        };
        let window = self.starts.get(low..high).unwrap_or_default();
        let after = low + window.partition_point(|start| *start <= key);
        self.values
            .get(after.wrapping_sub(1))
            .copied()
            .unwrap_or_default()
    }

    /// Start and value of every segment, in rising order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (K, V)> {
        self.starts.iter().copied().zip(self.values.iter().copied())
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.values) + size_of_val(&*self.index)
    }
}

fn index<K: Key>(starts: &[K]) -> Box<[u32]> {
    let mut index = Vec::with_capacity(K::BUCKETS + 1);
    let mut below = 0;
    let mut rest = starts.iter().peekable();
    for bucket in 0..=K::BUCKETS {
        while rest.next_if(|start| start.bucket() < bucket).is_some() {
            below += 1;
        }
        index.push(below);
    }
    index.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u32, last: u32, asn: u32) -> Span<u32> {
        Span { first, last, asn }
    }

    #[test]
    fn gaps_are_segments_and_neighbours_of_one_network_are_one() {
        let (segments, overlapping) =
            settle(vec![span(30, 39, 2), span(10, 19, 1), span(20, 24, 1)]);
        assert_eq!(segments, [(0, 0), (10, 1), (25, 0), (30, 2), (40, 0)]);
        assert_eq!(overlapping, 0);
    }

    #[test]
    fn the_finer_range_decides_and_the_wider_goes_on_after_it() {
        let (nested, overlapping) =
            settle(vec![span(0, u32::MAX, 1), span(5, 9, 2), span(5, 6, 3)]);
        assert_eq!(nested, [(0, 1), (5, 3), (7, 2), (10, 1)]);
        assert_eq!(overlapping, 2);
        let (crossed, _) = settle(vec![span(0, 9, 1), span(5, 14, 2), span(20, 20, 3)]);
        assert_eq!(crossed, [(0, 1), (5, 2), (15, 0), (20, 3), (21, 0)]);
        let (equal, _) = settle(vec![span(3, 4, 1), span(3, 4, 2)]);
        assert_eq!(equal, [(0, 0), (3, 2), (5, 0)]);
    }

    #[test]
    fn the_index_and_the_plain_search_agree() {
        let mut segments = vec![(0_u64, 0_u32)];
        for step in 1..40_000_u32 {
            append(
                &mut segments,
                0x1fff_0000_0000_0000 + (u64::from(step) << 47),
                step,
            );
        }
        let indexed = Ranges::new(&segments);
        assert!(!indexed.index.is_empty());
        let plain = Ranges {
            index: Box::default(),
            ..Ranges::new(&segments)
        };
        for (start, _) in &segments {
            for key in [
                start.saturating_sub(1),
                *start,
                start.saturating_add(1),
                u64::MAX,
            ] {
                assert_eq!(indexed.get(key), plain.get(key), "{key:x}");
            }
        }
    }
}
