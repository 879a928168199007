//! A copy of the live rule set beside the journal: a start without a store judges by what was live
//! last, and a store that has lost it is given it back.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::judgement::RuleSetId;
use crate::judge::{RuleSet, RuleSets};
use crate::whole_file;

const FILE: &str = "live-ruleset";
/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// What the copy has.
#[derive(Debug, Default)]
pub(super) struct LiveCopy {
    has: Option<RuleSetId>,
    failed_at: Option<Instant>,
}

impl LiveCopy {
    /// What was live last, and without a copy what is shipped.
    pub(super) fn read(data: &Path, shipped: &Arc<RuleSet>) -> (Self, RuleSets) {
        let path = data.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => None,
            _ => Some(error.to_string()),
        });
        let kept = text.and_then(|text| RuleSet::kept(&text).map_err(|why| Some(why.to_string())));
        if let Err(Some(error)) = &kept {
            let path = path.display();
            tracing::warn!(%error, "app: left out {path}; judges by the shipped rule set until the \
                store is there");
        }
        let copy = Self {
            has: kept.as_ref().ok().map(RuleSet::id),
            failed_at: None,
        };
        let live = kept.map_or_else(|_| Arc::clone(shipped), Arc::new);
        (copy, RuleSets::new(live, [Arc::clone(shipped)]))
    }

    /// Lets the copy have what is live now.
    pub(super) fn keep(&mut self, data: &Path, live: &RuleSet) {
        let failed = self.failed_at.is_some_and(|at| at.elapsed() < RETRY);
        if self.has == Some(live.id()) || failed {
            return;
        }
        match whole_file::write(&data.join(FILE), live.text().as_bytes()) {
            Ok(()) => (self.has, self.failed_at) = (Some(live.id()), None),
            Err(error) => {
                self.failed_at = Some(Instant::now());
                tracing::error!(%error, "app: {FILE} could not be written");
            }
        }
    }
}
