//! The live rule set beside the journal: a start without a store judges by what was live last.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::judge::{RuleSet, RuleSets};
use crate::whole_file;

const FILE: &str = "ruleset.toml";

/// What was live last; else what is shipped.
pub(super) fn read(data: &Path, shipped: &Arc<RuleSet>) -> RuleSets {
    let path = data.join(FILE);
    let kept = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => None,
        _ => Some(error.to_string()),
    });
    let kept = kept.and_then(|text| RuleSet::kept(&text).map_err(|error| Some(error.to_string())));
    if let Err(Some(error)) = &kept {
        let path = path.display();
        tracing::warn!(%error, "app: {path} is left out; the shipped rule set judges until the \
            store is there");
    }
    let live = kept.map_or_else(|_| Arc::clone(shipped), Arc::new);
    RuleSets::new(live, [Arc::clone(shipped)], 0)
}

/// Keeps what is live now.
pub(super) fn write(data: &Path, live: &RuleSet) {
    if let Err(error) = whole_file::write(&data.join(FILE), live.text().as_bytes()) {
        tracing::error!(%error, "app: {FILE} could not be written");
    }
}
