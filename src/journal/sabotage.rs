//! Mistakes on purpose, each of which a test must catch; compiled into tests only.

use std::cell::Cell;

/// A mistake that a journal could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Records are believed whatever their sum.
    NoSums,
    /// A file whose fsync failed is synced again.
    SyncAgain,
    /// A body is said to be synced and is not.
    NoBodySync,
    /// The name of a spool file is not synced before its bodies count.
    NoBodyDirectorySync,
}

thread_local! {
    static MADE: Cell<Option<Sabotage>> = const { Cell::new(None) };
}

/// Whether this thread makes that mistake.
pub(super) fn is(sabotage: Sabotage) -> bool {
    MADE.get() == Some(sabotage)
}

/// Makes a mistake while `work` runs on this thread.
pub(super) fn with<R>(sabotage: Option<Sabotage>, work: impl FnOnce() -> R) -> R {
    MADE.set(sabotage);
    let done = work();
    MADE.set(None);
    done
}
