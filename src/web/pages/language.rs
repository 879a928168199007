//! Which language a reader wants, as the browser says.

/// Ranges that are looked at; browsers send a handful.
const RANGES_MAX: usize = 32;
/// Longest range that is looked at, in bytes; the longest tags in use have 35.
const RANGE_BYTES_MAX: usize = 64;
/// Weights are counted in thousandths.
const WHOLE: u16 = 1_000;

/// The best language that is there for an `Accept-Language` header, which may have come in
/// several lines: lookup by RFC 4647, 3.4. `find` gives what is there under a tag.
///
/// What cannot be read asks for nothing, and `*` for nothing in particular.
pub(super) fn lookup<'h, T>(
    lines: impl Iterator<Item = &'h str>,
    find: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let mut best = None;
    let mut best_weight = 0;
    let ranges = lines.flat_map(|line| line.split(',')).take(RANGES_MAX);
    for (range, weight) in ranges.filter_map(weighted) {
        if weight > best_weight
            && let Some(found) = longest(range, &find)
        {
            best = Some(found);
            best_weight = weight;
        }
    }
    best
}

/// `de-AT;q=0.8` as its range and its weight.
fn weighted(range: &str) -> Option<(&str, u16)> {
    let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
    let tag = tag.trim();
    let weight = match parameters.trim() {
        "" => WHOLE,
        written => thousandths(written.strip_prefix(['q', 'Q'])?.trim().strip_prefix('=')?)?,
    };
    (!tag.is_empty() && tag.len() <= RANGE_BYTES_MAX).then_some((tag, weight))
}

/// A weight by RFC 9110, 12.4.2: at most three digits behind the point.
fn thousandths(written: &str) -> Option<u16> {
    let (whole, part) = written
        .trim()
        .split_once('.')
        .unwrap_or((written.trim(), ""));
    if part.len() > 3 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" => (part == 0).then_some(WHOLE),
        _ => None,
    }
}

/// What is there under the range, or under what is left of it without its last parts: `de-AT`,
/// then `de`.
fn longest<T>(range: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut rest = range;
    loop {
        let found = find(rest);
        if found.is_some() {
            return found;
        }
        (rest, _) = rest.rsplit_once('-')?;
    }
}

#[cfg(test)]
mod tests {
    use super::lookup;

    const THERE: [&str; 4] = ["en", "de", "fr", "zh-Hant"];

    fn chosen(header: &str) -> Option<&'static str> {
        lookup(header.split('\n'), |tag| {
            THERE.into_iter().find(|one| one.eq_ignore_ascii_case(tag))
        })
    }

    #[test]
    fn readers_get_what_they_ask_for_first() {
        for (header, language) in [
            ("de", "de"),
            ("DE", "de"),
            ("de-AT", "de"),
            ("de-CH-1996", "de"),
            ("de-DE-u-co-phonebk", "de"),
            ("zh-hant-TW", "zh-Hant"),
            ("en-US,en;q=0.9,de;q=0.8", "en"),
            ("en;q=0.8,de;q=0.9", "de"),
            ("en;q=0.8,de;q=0.8", "en"),
            ("en;q=0.801,de;q=0.81", "de"),
            ("nl,fr;q=0.5,*;q=0.1", "fr"),
            ("*,fr;q=0.5", "fr"),
            (" fr ; q = 0.5 ", "fr"),
            ("nl;q=1.000,fr;Q=0.001", "fr"),
            ("nl\nfr", "fr"),
            ("en;q=0,de;q=0.1", "de"),
            ("en;q=2,de;q=0.1", "de"),
            (
                "en;q=1.5,en;q=,en;q=-1,en;q=0.1234,en;level=1,de;q=0.1",
                "de",
            ),
            (",,;q=1,\u{fc},-,--,en-\u{e9}-x;x,de", "de"),
        ] {
            assert_eq!(chosen(header), Some(language), "{header:?}");
        }
    }

    #[test]
    fn who_asks_for_nothing_that_is_there_gets_none() {
        let long = format!("{},de", "x-".repeat(50_000));
        let many = format!("{}de", "nl,".repeat(20_000));
        for header in [
            "", "*", "nl", "de;q=0", "de;q=0,*", "d", "deu", "zh", "-de", &many,
        ] {
            assert_eq!(chosen(header), None, "{header:.40?}");
        }
        assert_eq!(
            chosen(&long),
            Some("de"),
            "a range too long stands in nobody's way"
        );
    }
}
