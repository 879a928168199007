//! The only place that asks what time it is. Everything else is told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Micros;

/// The wall clock. It may step; sequences, not times, give the order of hits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(self) -> Micros {
        #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Micros::new(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}
