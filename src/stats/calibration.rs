//! How a rule set judges hits of which something else says whose they are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::share::{Estimate, wilson};
use crate::domain::hit::HitKind;
use crate::domain::judgement::Facts;
use crate::domain::time::Micros;
use crate::judge::{self, Evidence, RuleSet};
use crate::store::{Store, StoreError};

/// How a rule set does, week by week and in all.
#[derive(Debug, Serialize)]
pub struct Calibration {
    /// The rule set, such as `default@3`.
    pub ruleset: String,
    /// Weeks with evidence, the oldest first.
    pub weeks: Vec<Week>,
    /// All of them together.
    pub all: Vec<Row>,
}

/// One week.
#[derive(Debug, Serialize)]
pub struct Week {
    /// When it began: Monday at midnight, UTC.
    pub week: Micros,
    /// What there was.
    pub rows: Vec<Row>,
}

/// Hits of one kind, with one kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What says whose they are.
    pub evidence: &'static str,
    /// Whose it says that they are: `person` or `machine`.
    pub says: &'static str,
    /// Kind of hit.
    pub kind: HitKind,
    /// Hits.
    pub hits: u64,
    /// What the rule set says of them.
    pub raw: Judged,
    /// What it says if what the evidence itself gave is left out.
    pub adjusted: Judged,
}

/// How many are judged to be a person's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// So many.
    pub human: u64,
    /// Share of all, per cent, with the interval of Wilson: kept where they are a person's, let
    /// through where they are a machine's.
    pub share: Option<Estimate>,
}

/// What a rule set says of hits with evidence that came since the beginning of a week.
///
/// # Errors
/// The store is not available.
pub async fn calibration(
    store: &Store,
    rules: &RuleSet,
    since: Micros,
) -> Result<Calibration, StoreError> {
    let mut weeks: BTreeMap<Micros, Counted> = BTreeMap::new();
    let mut all = Counted::default();
    for (key, hits) in store.evidence(since.week()).await? {
        let week = weeks.entry(key.week).or_default();
        week.add(rules, key.kind, key.facts, hits);
        all.add(rules, key.kind, key.facts, hits);
    }
    let weeks = weeks.into_iter().map(|(week, counted)| Week {
        week,
        rows: counted.rows(),
    });
    Ok(Calibration {
        ruleset: rules.label(),
        weeks: weeks.collect(),
        all: all.rows(),
    })
}

/// Hits, and those of them that are judged a person's: as they are, and without the evidence.
#[derive(Default)]
struct Counted(BTreeMap<(Evidence, HitKind), [u64; 3]>);

impl Counted {
    fn add(&mut self, rules: &RuleSet, kind: HitKind, facts: Facts, hits: u64) {
        let found = Evidence::ALL.iter().filter(|it| it.holds(facts));
        for evidence in found {
            let judged = [
                judge::judge(rules, kind, facts),
                evidence.judge_without(rules, kind, facts),
            ];
            let [all, raw, adjusted] = self.0.entry((*evidence, kind)).or_default();
            *all += hits;
            for (human, verdict) in [raw, adjusted].into_iter().zip(judged) {
                *human += if verdict.class.is_human() { hits } else { 0 };
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |(key, counted): (&(Evidence, HitKind), &[u64; 3])| {
            let ((evidence, kind), [hits, raw, adjusted]) = (*key, *counted);
            let judged = |human| Judged {
                human,
                share: wilson(human, hits),
            };
            Row {
                evidence: evidence.name(),
                says: match evidence.is_for_person() {
                    true => "person",
                    false => "machine",
                },
                kind,
                hits,
                raw: judged(raw),
                adjusted: judged(adjusted),
            }
        };
        self.0.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::signals::by_name;

    #[test]
    fn what_gave_the_evidence_is_left_out_of_what_is_measured_by_it() {
        let rules = RuleSet::shipped().unwrap();
        let facts = |names: &[&str]| {
            let bit = |name: &&str| by_name(name).unwrap().bit;
            names.iter().map(bit).fold(Facts::NONE, Facts::with)
        };
        let mut counted = Counted::default();
        let click = HitKind::Click;
        counted.add(&rules, click, facts(&["near.all_links"]), 3);
        let quick = ["near.all_links", "near.rapid", "net.hosting"];
        counted.add(&rules, click, facts(&quick), 5);
        counted.add(&rules, click, facts(&["near.pressed"]), 7);
        counted.add(&rules, click, facts(&["net.hosting"]), 11);
        let rows = counted.rows();
        let said: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.evidence,
                    row.says,
                    row.hits,
                    row.raw.human,
                    row.adjusted.human,
                )
            })
            .collect();
        assert_eq!(
            said,
            [("press", "person", 7, 7, 7), ("sweep", "machine", 8, 0, 3),]
        );
        let share = rows[1].adjusted.share.unwrap();
        assert_eq!(share.percent, 37.5);
        assert!(share.low < 14.0 && share.high > 69.0, "{share}");
    }
}
