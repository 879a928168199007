//! Why a hit was judged as it was: which neighbours its signals rest on, and what would have
//! turned it.

use super::signals::{SIGNALS, Signal};
use super::{Around, RuleSet, judge};
use crate::domain::hit::HitKind;
use crate::domain::judgement::{Facts, Verdict};

/// What would have turned a judgement from a person's to another, or back.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Without these signals it would be a person's, with this judgement.
    Without(Vec<&'static Signal>, Verdict),
    /// With so much more evidence, in log-odds, nobody could say; and with so much it would be a
    /// machine's. `None` where no evidence would do.
    More {
        /// Until it is `suspect`.
        suspect: Option<f64>,
        /// Until it is a machine's.
        machine: Option<f64>,
    },
    /// Nothing that a signal says: it is so by rule, or by the prior alone.
    Nothing,
}

/// What would have turned the judgement of a hit with these facts: as few signals as it takes, the
/// heaviest first.
#[must_use]
pub fn turn(rules: &RuleSet, kind: HitKind, facts: Facts) -> Turn {
    let verdict = judge(rules, kind, facts);
    if facts.has(super::signals::ONE_CLICK) {
        return Turn::Nothing;
    }
    if verdict.class.is_human() {
        let sum = sum(rules, kind, facts);
        let more = |bound: f64| Some(log_odds(bound) - sum).filter(|more| more.is_finite());
        return Turn::More {
            suspect: more(rules.human_max()).filter(|_| rules.human_max() < rules.machine_min()),
            machine: more(rules.machine_min()),
        };
    }
    let mut heaviest: Vec<_> = SIGNALS
        .iter()
        .filter(|signal| facts.has(signal.bit) && rules.weight(kind, signal) > 0.0)
        .collect();
    heaviest.sort_by(|one, other| {
        let weight = |signal: &Signal| rules.weight(kind, signal);
        weight(other).total_cmp(&weight(one))
    });
    let mut left = facts;
    let mut without = Vec::new();
    for signal in heaviest {
        left = Facts::from_bits(left.bits() & !signal.fact().bits());
        without.push(signal);
        let verdict = judge(rules, kind, left);
        if verdict.class.is_human() {
            return Turn::Without(without, verdict);
        }
    }
    Turn::Nothing
}

/// Log-odds of a hit with these facts.
#[must_use]
pub fn sum(rules: &RuleSet, kind: HitKind, facts: Facts) -> f64 {
    let scope = rules.scope(kind);
    let weights = super::weighed(scope, facts).map(|(_, weight)| weight);
    scope.prior + weights.sum::<f64>()
}

/// The places in the company, that of the hit itself left out, of those that a settled signal
/// rests on: as few as it takes, the nearest. `None` if it does not hold among these.
#[must_use]
pub fn rests_on(around: &Around<'_>, own: usize, signal: &Signal) -> Option<Vec<usize>> {
    let holds = signal.around()?;
    if !holds(around) {
        return None;
    }
    let away = |place: &usize| {
        let at = around.company.get(*place).map(|hit| hit.at.get());
        at.map(|at| around.hit.at.get().abs_diff(at))
    };
    let mut places: Vec<_> = (0..around.company.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(away(place)));
    let mut kept = places.clone();
    for place in places.into_iter().filter(|place| *place != own) {
        let fewer: Vec<_> = kept.iter().copied().filter(|it| *it != place).collect();
        let hit = |place: &usize| around.company.get(*place).copied();
        let company: Vec<_> = fewer.iter().filter_map(hit).collect();
        let among = Around {
            company: &company,
            ..*around
        };
        if holds(&among) {
            kept = fewer;
        }
    }
    kept.retain(|place| *place != own);
    kept.sort_unstable();
    Some(kept)
}

fn log_odds(percent: f64) -> f64 {
    (percent / (100.0 - percent)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::judgement::Class;
    use crate::domain::neighbour::Neighbour;
    use crate::domain::time::Micros;
    use crate::judge::signals::by_name;

    fn facts(names: &[&str]) -> Facts {
        let bit = |name: &&str| by_name(name).unwrap().bit;
        names.iter().map(bit).fold(Facts::NONE, Facts::with)
    }

    fn turned(kind: HitKind, names: &[&str]) -> Turn {
        turn(&RuleSet::shipped().unwrap(), kind, facts(names))
    }

    #[test]
    fn a_machine_is_turned_by_as_few_signals_as_it_takes() {
        let Turn::Without(signals, verdict) = turned(
            HitKind::Click,
            &["net.hosting", "near.all_links", "near.rapid"],
        ) else {
            panic!("a machine")
        };
        let names: Vec<_> = signals.iter().map(|signal| signal.name).collect();
        assert_eq!(names, ["near.all_links", "near.rapid"]);
        assert_eq!(
            (verdict.class, verdict.score.percent()),
            (Class::Human, 31.0)
        );
    }

    #[test]
    fn a_person_is_so_much_evidence_away_from_a_machine() {
        let Turn::More { suspect, machine } = turned(HitKind::Click, &["net.hosting"]) else {
            panic!("a person")
        };
        // -2 + 1.2 + 0.8 = 0, which is 50 %; 80 % is ln 4.
        assert!((suspect.unwrap() - 0.8).abs() < 1e-9);
        assert!((machine.unwrap() - 0.8 - 4_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn what_is_so_by_rule_is_turned_by_nothing() {
        let one_click = turned(
            HitKind::Unsubscribe,
            &["unsubscribe.one_click", "ua.library"],
        );
        assert!(matches!(one_click, Turn::Nothing), "{one_click:?}");
    }

    #[test]
    fn a_signal_rests_on_the_nearest_that_it_takes() {
        let at = |seconds: i64, link| Neighbour {
            at: Micros::new(seconds * 1_000_000),
            kind: HitKind::Click,
            link,
            network: 7,
            agent: 1,
            asn: 0,
            facts: Facts::NONE,
        };
        let rules = RuleSet::shipped().unwrap();
        let company = [at(10, 1), at(9, 2), at(11, 3), at(8, 4), at(40, 5)];
        let around = Around {
            hit: &company[0],
            company: &company,
            accepted_at: None,
            minted_at: None,
            links: 20,
            swept_before: false,
            windows: rules.windows(),
        };
        let rests = |name| rests_on(&around, 0, by_name(name).unwrap());
        assert_eq!(rests("near.burst"), Some(vec![1, 2]));
        assert_eq!(rests("near.rapid"), None, "it does not hold");
        assert_eq!(rests("ua.empty"), None, "it is not settled");
    }
}
