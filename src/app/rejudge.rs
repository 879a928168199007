//! When history is judged again: while settling has nothing to do, and now and then while it has.

use std::time::{Duration, Instant};

use crate::settle::{Progress, Settler};
use crate::store::Store;
use crate::web::Parts;

/// How often it is looked whether anything is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Rounds of a backlog between two turns.
const ROUNDS_MAX: u32 = 8;
/// How long to wait after the first failure; after the next ones twice as long each.
const RETRY: Duration = Duration::from_secs(1);
/// How often that is doubled, and what is read at once halved: to a minute, and a hundredth.
const HALVED_MAX: u32 = 6;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Rejudge {
    looked_at: Option<Instant>,
    rounds: u32,
    failed: u32,
}

impl Rejudge {
    /// After a round of settling; whether there is more to do at once. That it fails is no reason
    /// to settle nothing either: it is tried again later, with less at once.
    pub(super) async fn turn(
        &mut self,
        parts: &Parts,
        settler: &mut Settler,
        store: &Store,
        progress: &Progress,
    ) -> bool {
        let wait = match self.failed {
            0 => LOOK_EVERY,
            failed => RETRY * (1 << failed.min(HALVED_MAX)),
        };
        let idle = self.looked_at.is_some_and(|at| at.elapsed() < wait);
        self.rounds += 1;
        if idle || (progress.more && self.rounds < ROUNDS_MAX) {
            return false;
        }
        self.rounds = 0;
        let (known, now) = (parts.rules.load_full(), parts.clock.now());
        let less = self.failed.min(HALVED_MAX);
        let done = match settler.rejudge(store, &known, less, now).await {
            Ok(done) => {
                self.failed = 0;
                done
            }
            Err(error) => {
                self.failed += 1;
                metrics::counter!("cupel_settle_errors_total").increment(1);
                tracing::warn!(%error, "app: history was not judged again; tried again later");
                None
            }
        };
        let Some(done) = done else {
            self.looked_at = Some(Instant::now());
            return false;
        };
        self.looked_at = None;
        metrics::counter!("cupel_rejudged_hits_total").increment(done.hits);
        metrics::counter!("cupel_rejudged_changed_total").increment(done.changed);
        if let Some(id) = done.ended {
            tracing::info!(id, "app: looked at all that was to be judged again here");
        }
        true
    }
}
