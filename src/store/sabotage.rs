//! A mistake on purpose, which a test must catch, and faults that make it show; compiled into tests
//! only.

use std::cell::Cell;

use super::{Store, StoreError};

thread_local! {
    static POSITION_APART: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, what this thread ingests has its position in a transaction of its own.
pub(crate) struct PositionApart(());

impl PositionApart {
    pub(crate) fn made() -> Self {
        POSITION_APART.set(true);
        Self(())
    }
}

impl Drop for PositionApart {
    fn drop(&mut self) {
        POSITION_APART.set(false);
    }
}

pub(super) fn commits_position_apart() -> bool {
    POSITION_APART.get()
}

/// What befalls the writing connection, once. Counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The statement that runs at this step of SQLite's machine is broken off.
    Step(u64),
    /// This commit is refused.
    Commit(u64),
}

impl Store {
    /// Lets a fault come; it takes the place of an earlier one of its kind.
    pub(crate) async fn let_fail(&self, fault: Fault) -> Result<(), StoreError> {
        let super::connections::Pool::Sqlite(writer) = &self.writer else {
            return Err(StoreError::Unreadable("database to let fail"));
        };
        let mut connection = writer.acquire().await?;
        let mut handle = connection.lock_handle().await?;
        match fault {
            Fault::Step(at) => handle.set_progress_handler(1, goes_well_but(at)),
            Fault::Commit(at) => handle.set_commit_hook(goes_well_but(at)),
        }
        Ok(())
    }
}

fn goes_well_but(at: u64) -> impl FnMut() -> bool + Send {
    let mut calls = 0;
    move || {
        calls += 1;
        calls != at
    }
}
