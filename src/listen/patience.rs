//! How long the connections of one worker have been quiet. One task looks at all of them: a timer
//! for each would be touched by each request, and its memory is cold by then.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::config::HttpLimits;
use crate::domain::id_map::IdMap;
use crate::shutdown::Stop;
use crate::web::Asking;

/// Looks in the time that a connection may be quiet.
const LOOKS: u32 = 4;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the last answer to the end of the next head.
    idle: Duration,
    /// From the last byte that the reader took to the next.
    stalled: Duration,
    /// Between two looks.
    look: Duration,
}

impl Limits {
    pub(super) fn of(http: &HttpLimits) -> Self {
        let idle = http.keep_alive.saturating_add(http.head);
        Self {
            idle,
            stalled: http.stalled,
            look: idle.min(http.stalled) / LOOKS,
        }
    }
}

/// Every connection of a listener that one worker has.
#[derive(Default)]
pub(super) struct Connections {
    all: RefCell<IdMap<u64, Rc<Patience>>>,
    taken: Cell<u64>,
    /// They are to answer what was asked and to close.
    closing: Cell<bool>,
}

impl Connections {
    pub(super) fn take(self: &Rc<Self>) -> Held {
        let id = self.taken.get();
        self.taken.set(id.wrapping_add(1));
        let patience = Rc::new(Patience::default());
        self.all.borrow_mut().insert(id, Rc::clone(&patience));
        Held {
            patience,
            id,
            of: Rc::clone(self),
        }
    }

    /// Looks at them again and again, and tells them when they are to close. Ends then.
    pub(super) async fn watch(self: Rc<Self>, limits: Limits, closing: Stop) {
        loop {
            closing.wait_for(limits.look).await;
            if closing.asked() {
                break;
            }
            for patience in self.all.borrow().values() {
                patience.look(&limits);
            }
        }
        self.closing.set(true);
        for patience in self.all.borrow().values() {
            patience.wake();
        }
    }

    /// Ready once they are to close; whoever waits is woken then.
    pub(super) fn closing(self: &Rc<Self>) -> impl Future<Output = ()> + use<> {
        let of = Rc::clone(self);
        poll_fn(move |_| match of.closing.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }
}

/// A connection, until this is dropped.
pub(super) struct Held {
    patience: Rc<Patience>,
    id: u64,
    of: Rc<Connections>,
}

impl std::ops::Deref for Held {
    type Target = Patience;

    fn deref(&self) -> &Patience {
        &self.patience
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.all.borrow_mut().remove(&self.id);
    }
}

/// What is known of one connection.
pub(super) struct Patience {
    pub(super) asking: Rc<Asking>,
    /// Something was taken since the last look.
    pub(super) taken: Cell<bool>,
    /// Answers wait for the reader to take those before.
    pub(super) full: Cell<bool>,
    /// How long nothing was asked or taken, as of the last look.
    quiet: Cell<Duration>,
    /// That was too long.
    over: Cell<bool>,
    /// Who waits for its bytes.
    waits: RefCell<Option<Waker>>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            asking: Rc::default(),
            // The first look comes any time after the connection.
            taken: Cell::new(true),
            full: Cell::default(),
            quiet: Cell::default(),
            over: Cell::default(),
            waits: RefCell::default(),
        }
    }
}

impl Patience {
    /// `Pending` until the connection has been quiet for too long.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.over.get() {
            return Poll::Ready(());
        }
        match &mut *self.waits.borrow_mut() {
            // The same one most of the time, which costs nothing then.
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn look(&self, limits: &Limits) {
        let asked = !self.asking.is_quiet();
        if self.taken.replace(false) || asked {
            self.quiet.set(Duration::ZERO);
            return;
        }
        let quiet = self.quiet.get().saturating_add(limits.look);
        self.quiet.set(quiet);
        let most = match self.full.get() {
            true => limits.stalled,
            false => limits.idle,
        };
        if quiet >= most {
            self.over.set(true);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waits) = self.waits.borrow().as_ref() {
            waits.wake_by_ref();
        }
    }
}
