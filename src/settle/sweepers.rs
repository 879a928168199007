//! Sources that go through all links of message after message: gateways, whose hits on other
//! messages are likely theirs too, where a single one shows nothing.

use crate::domain::id_map::IdMap;
use crate::domain::sweep::{Source, Sweep};
use crate::domain::time::Micros;

/// Other messages that a source must have swept.
const OTHERS: usize = 3;
/// As many as it takes to say so of each of them.
const FIRST: usize = OTHERS + 1;

const DAY: i64 = 24 * 3_600 * 1_000_000;
/// Days that are remembered of a source: a hit looks at its own and the one before, and may come a
/// little later than hits of the next.
const DAYS: usize = 3;
/// Before the first day that is remembered.
const FORGOTTEN: i64 = i64::MIN / DAY;

/// Sources in one generation; two are kept. One is some 200 bytes.
const GENERATION_MAX: usize = 32_768;

/// Sources that have swept messages lately.
#[derive(Debug, Default)]
pub(super) struct Sweepers {
    young: IdMap<Source, Swept>,
    old: IdMap<Source, Swept>,
}

/// The first messages that a source swept on each of the last days.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    newest: i64,
    /// From the newest day back; each in order of time, what is not there behind everything.
    days: [[(Micros, u32); FIRST]; DAYS],
}

const NONE: (Micros, u32) = (Micros::new(i64::MAX), u32::MAX);

impl Default for Swept {
    fn default() -> Self {
        Self {
            newest: FORGOTTEN,
            days: [[NONE; FIRST]; DAYS],
        }
    }
}

impl Swept {
    /// Adds one; whether it is among the first of its day.
    fn add(&mut self, sweep: &Sweep) -> bool {
        let day = day(sweep.at);
        if self.newest < day {
            let later = day.saturating_sub(self.newest);
            let by = usize::try_from(later).unwrap_or(DAYS).min(DAYS);
            self.days.rotate_right(by % DAYS);
            self.days
                .iter_mut()
                .take(by)
                .for_each(|day| *day = [NONE; FIRST]);
            self.newest = day;
        }
        let back = usize::try_from(self.newest.saturating_sub(day));
        let Some(first) = back.ok().and_then(|back| self.days.get_mut(back)) else {
            return false;
        };
        let own = (sweep.at, sweep.message);
        let place = first.partition_point(|known| *known < own);
        if place == FIRST || first.iter().any(|known| known.1 == sweep.message) {
            return false;
        }
        if let Some(behind) = first.get_mut(place..) {
            behind.rotate_right(1);
            behind.iter_mut().take(1).for_each(|it| *it = own);
        }
        true
    }

    /// Whether it swept so many others than this message, so long before a hit, on the day of that
    /// or the one before.
    pub(super) fn has_others(&self, message: u32, (at, ago): (Micros, i64)) -> bool {
        let before = at.plus(-ago);
        let back = self.newest.saturating_sub(day(at));
        let days = (0..)
            .zip(&self.days)
            .filter(|(day, _)| (back..=back + 1).contains(day));
        let swept = days.flat_map(|(_, first)| first);
        let others = swept.filter(|(swept, of)| *swept <= before && *of != message);
        others.count() >= OTHERS
    }
}

const fn day(at: Micros) -> i64 {
    at.get().div_euclid(DAY)
}

impl Sweepers {
    /// What is remembered at a time came since then.
    pub(super) const fn since(now: Micros) -> Micros {
        Micros::new((day(now).saturating_sub(2)).saturating_mul(DAY))
    }

    /// Takes note of a sweep; whether it is worth keeping.
    pub(super) fn note(&mut self, sweep: &Sweep) -> bool {
        let known = self.young.get(&sweep.source).copied();
        let known = known.or_else(|| self.old.remove(&sweep.source));
        let mut swept = known.unwrap_or_default();
        let kept = swept.add(sweep);
        self.young.insert(sweep.source, swept);
        if self.young.len() > GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        kept
    }

    /// What a source has swept, if anything.
    pub(super) fn of(&self, source: Source) -> Option<&Swept> {
        self.young.get(&source).or_else(|| self.old.get(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: Source = Source {
        network: 7,
        agent: 1,
    };
    const MINUTE: i64 = 60_000_000;

    fn sweep(minutes: i64, message: u32) -> Sweep {
        Sweep {
            at: Micros::new(minutes * MINUTE),
            source: GATE,
            message,
        }
    }

    fn knows(sweepers: &Sweepers, minutes: i64, message: u32) -> bool {
        let before = (sweep(minutes, 0).at, 10 * MINUTE);
        let swept = sweepers.of(GATE);
        swept.is_some_and(|swept| swept.has_others(message, before))
    }

    #[test]
    fn three_other_messages_make_a_sweeper_until_the_end_of_the_next_day() {
        let mut sweepers = Sweepers::default();
        // The second message is swept twice, and the order is that of arrival.
        let all = [(30, 3), (0, 1), (20, 2), (25, 2)];
        let kept = all.map(|(minutes, message)| sweepers.note(&sweep(minutes, message)));
        assert_eq!(kept, [true, true, true, false]);
        assert!(!knows(&sweepers, 39, 9), "not yet for so long");
        assert!(knows(&sweepers, 40, 9));
        assert!(!knows(&sweepers, 40, 3), "two others");
        assert!(knows(&sweepers, 48 * 60 - 1, 9));
        assert!(!knows(&sweepers, 48 * 60, 9), "another day");
        let other = Source { agent: 2, ..GATE };
        assert!(sweepers.of(other).is_none(), "another agent");
    }

    #[test]
    fn the_first_of_a_day_are_enough_and_each_day_begins_anew() {
        let mut sweepers = Sweepers::default();
        let kept = |all: &mut Sweepers, minutes, message| all.note(&sweep(minutes, message));
        for message in 10..14 {
            assert!(kept(&mut sweepers, i64::from(message), message));
        }
        assert!(!kept(&mut sweepers, 20, 20), "it is known already");
        assert!(kept(&mut sweepers, 9, 9), "an earlier one");
        for message in 1..=3 {
            assert!(kept(&mut sweepers, 26 * 60, message));
        }
        assert!(!kept(&mut sweepers, -1_441, 30), "two days before");
        // Each of the first beside three others, on both days.
        assert!(knows(&sweepers, 100, 10));
        assert!(
            knows(&sweepers, 24 * 60 - 1, 9),
            "a late one of the day before"
        );
        assert!(knows(&sweepers, 49 * 60, 9));
        assert!(kept(&mut sweepers, 100 * 60, 4), "days later");
        assert!(!knows(&sweepers, 101 * 60, 9));
    }

    /// What is read back from what was worth keeping is what was known.
    #[test]
    fn what_is_kept_says_the_same_again() {
        let (mut all, mut again) = (Sweepers::default(), Sweepers::default());
        let mut kept = Vec::new();
        for number in 0..400_u32 {
            let one = sweep(i64::from(number) * 37 % 4_000, number % 97);
            if all.note(&one) {
                kept.push(one);
            }
        }
        kept.sort_unstable();
        kept.iter().for_each(|sweep| {
            again.note(sweep);
        });
        let newest = Sweepers::since(sweep(3_999, 0).at).get() / MINUTE;
        for minutes in newest + 24 * 60..4_100 {
            assert_eq!(
                knows(&again, minutes, 5),
                knows(&all, minutes, 5),
                "{minutes}"
            );
        }
    }

    /// More sources than are remembered: those that are seen again and again stay.
    #[test]
    fn what_is_known_is_bounded_and_who_comes_again_stays() {
        let mut sweepers = Sweepers::default();
        let last = 3 * u32::try_from(GENERATION_MAX).unwrap();
        for number in 0..last {
            let of = |agent| Sweep {
                source: Source { agent, ..GATE },
                ..sweep(0, number)
            };
            sweepers.note(&of(number + 2));
            if number % 1_000 == 0 {
                sweepers.note(&of(1));
            }
            assert!(sweepers.young.len() + sweepers.old.len() <= 2 * GENERATION_MAX + 1);
        }
        assert!(knows(&sweepers, 60, last));
    }
}
