//! When history is judged again: while settling has nothing to do, and now and then while it has.

use std::time::{Duration, Instant};

use crate::settle::{Progress, SettleError, Settler};
use crate::store::Store;
use crate::web::Parts;

/// How often it is looked whether anything is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Rounds of a backlog between two turns.
const ROUNDS_MAX: u32 = 8;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Rejudge {
    looked_at: Option<Instant>,
    rounds: u32,
}

impl Rejudge {
    /// After a round of settling; whether there is more to do at once.
    ///
    /// # Errors
    /// What was to be written was not.
    pub(super) async fn turn(
        &mut self,
        parts: &Parts,
        settler: &mut Settler,
        store: &Store,
        progress: &Progress,
    ) -> Result<bool, SettleError> {
        let idle = self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        self.rounds += 1;
        if idle || (progress.more && self.rounds < ROUNDS_MAX) {
            return Ok(false);
        }
        self.rounds = 0;
        let (known, now) = (parts.rules.load_full(), parts.clock.now());
        let Some(done) = settler.rejudge(store, &known, now).await? else {
            self.looked_at = Some(Instant::now());
            return Ok(false);
        };
        self.looked_at = None;
        metrics::counter!("cupel_rejudged_hits_total").increment(done.hits);
        metrics::counter!("cupel_rejudged_changed_total").increment(done.changed);
        if let Some(id) = done.ended {
            tracing::info!(id, "app: looked at all that was to be judged again here");
        }
        Ok(true)
    }
}
