//! Reads the payload of the shipped table form, which `file` specifies. It takes the payload for
//! hostile: a count is compared with the bytes that are left before memory is set aside for it.

use super::file::SHAPE_ODD;
use super::ranges::{Key, Ranges, Segments};
use super::table::{AsnTable, Names};

/// A table from its inflated payload.
pub(super) fn table(payload: &[u8]) -> Result<AsnTable, String> {
    let mut cursor = Cursor(payload);
    let source_bytes = cursor.count()?;
    let source = cursor.text(source_bytes)?.to_owned();
    let names = take_names(&mut cursor)?;
    let v4 = take_segments::<u32>(&mut cursor, &names.asns)?;
    let v6 = take_segments::<u64>(&mut cursor, &names.asns)?;
    if !cursor.0.is_empty() {
        return Err("bytes after the last range".to_owned());
    }
    Ok(AsnTable::from_parts(
        Ranges::new(&v4),
        Ranges::new(&v6),
        names,
        source,
    ))
}

fn take_names(cursor: &mut Cursor<'_>) -> Result<Names, String> {
    let count = cursor.count()?;
    let mut asns = Vec::with_capacity(count);
    let mut before: u32 = 0;
    for _ in 0..count {
        let step = u32::try_from(cursor.varint()?)
            .ok()
            .filter(|step| *step > 0);
        before = step
            .and_then(|step| before.checked_add(step))
            .ok_or("ASNs out of order")?;
        asns.push(before);
    }
    let mut name_of = Vec::with_capacity(count);
    let mut fresh: u32 = 0;
    for _ in 0..count {
        let back = u32::try_from(cursor.varint()?).ok();
        let number = back
            .and_then(|back| fresh.checked_sub(back))
            .ok_or("unknown name")?;
        fresh += u32::from(number == fresh);
        name_of.push(number);
    }
    let names = cursor.count()?;
    if names != fresh as usize {
        return Err("names without an ASN, or ASNs without a name".to_owned());
    }
    let mut offsets = vec![0];
    let mut end: u32 = 0;
    for _ in 0..names {
        let bytes = u32::try_from(cursor.varint()?).ok();
        end = bytes
            .and_then(|bytes| end.checked_add(bytes))
            .ok_or("names too long")?;
        offsets.push(end);
    }
    let text = cursor.text(end as usize)?;
    if !offsets
        .iter()
        .all(|offset| text.is_char_boundary(*offset as usize))
    {
        return Err("a name ends within a character".to_owned());
    }
    Ok(Names {
        asns: asns.into_boxed_slice(),
        name_of: name_of.into_boxed_slice(),
        offsets: offsets.into_boxed_slice(),
        text: text.into(),
    })
}

fn take_segments<K: Key + TryFrom<u64>>(
    cursor: &mut Cursor<'_>,
    asns: &[u32],
) -> Result<Segments<K, u32>, String> {
    let count = cursor.count()?;
    let shapes = cursor.bytes(count.checked_sub(1).ok_or("no ranges")?)?;
    let mut segments = Vec::with_capacity(count);
    segments.push((K::ZERO, 0));
    let mut start: u64 = 0;
    for shape in shapes {
        let odd = if *shape < SHAPE_ODD {
            1
        } else {
            cursor.varint()?
        };
        let length = 1_u64
            .checked_shl(u32::from(shape & 127))
            .and_then(|one| odd.checked_mul(one));
        let next = length
            .filter(|length| *length > 0)
            .and_then(|length| start.checked_add(length));
        start = next.ok_or("a range beyond the address space")?;
        let key = K::try_from(start).map_err(|_| "a range beyond the address space")?;
        segments.push((key, 0));
    }
    let (high, middle, low) = (
        cursor.bytes(count)?,
        cursor.bytes(count)?,
        cursor.bytes(count)?,
    );
    let indices = high.iter().zip(middle).zip(low);
    for (segment, ((high, middle), low)) in segments.iter_mut().zip(indices) {
        let index = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
        if let Some(at) = index.checked_sub(1) {
            segment.1 = *asns.get(at).ok_or("a range of an unknown ASN")?;
        }
    }
    Ok(segments)
}

/// What is left to read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("cut short")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn text(&mut self, bytes: usize) -> Result<&'a str, String> {
        str::from_utf8(self.bytes(bytes)?).map_err(|error| error.to_string())
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 127);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err("a number of more than 64 bits".to_owned())
    }

    /// Number of things that take at least a byte each: more than what is left is refused, so
    /// that no memory is set aside for them.
    fn count(&mut self) -> Result<usize, String> {
        let count = usize::try_from(self.varint()?).ok();
        count
            .filter(|count| *count <= self.0.len())
            .ok_or_else(|| "cut short".to_owned())
    }
}
