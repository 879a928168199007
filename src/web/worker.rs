//! What one worker thread of the public listener owns: nobody else touches it, so nothing locks.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use actix_web::web;
use arc_swap::{ArcSwap, Cache};

use crate::config::Live;
use crate::domain::record::Hit;
use crate::journal::{Durability, Keeper, Kept, Reason, SideKind};
use crate::judge::{AgentFacts, KnownAgents, RuleSet};

use super::Parts;
use super::ids::Ids;

thread_local! {
    static HERE: RefCell<Weak<Worker>> = const { RefCell::new(Weak::new()) };
}

/// One answer in so many is timed: two looks at the clock each would be felt.
const TIMED_EVERY: u32 = 64;

/// One worker of the public listener. It reads as the [`Parts`] that all share.
pub(super) struct Worker {
    parts: web::Data<Parts>,
    /// `None` if the journal has no ring left, which more workers than rings would bring about.
    keeper: Option<RefCell<Keeper>>,
    known_agents: RefCell<KnownAgents>,
    live: RefCell<Cache<Arc<ArcSwap<Live>>, Arc<Live>>>,
    pub(super) ids: Ids,
    answers: Cell<u32>,
    seconds: metrics::Histogram,
}

impl Worker {
    /// The worker of this thread, which several listeners share: one ring is enough for a thread.
    pub(super) fn of_this_thread(parts: &web::Data<Parts>) -> Rc<Self> {
        HERE.with_borrow_mut(|here| {
            let known = here
                .upgrade()
                .filter(|worker| Arc::ptr_eq(&Arc::clone(&worker.parts), &Arc::clone(parts)));
            known.unwrap_or_else(|| {
                let worker = Rc::new(Self::new(parts.clone()));
                *here = Rc::downgrade(&worker);
                worker
            })
        })
    }

    /// Takes a ring of the journal until it is dropped.
    fn new(parts: web::Data<Parts>) -> Self {
        let keeper = parts.journal.keeper().map(RefCell::new);
        if keeper.is_none() {
            tracing::error!("web: a worker has no ring; its hits are answered and not kept");
        }
        Self {
            ids: Ids::new(&parts.id_key),
            live: RefCell::new(Cache::new(Arc::clone(&parts.live))),
            parts,
            keeper,
            known_agents: RefCell::default(),
            answers: Cell::new(0),
            seconds: metrics::histogram!("cupel_redirect_duration_seconds"),
        }
    }

    /// When an answer was begun, if its turn to be timed has come.
    pub(super) fn begin(&self) -> Option<Instant> {
        let answers = self.answers.get().wrapping_add(1);
        self.answers.set(answers);
        answers.is_multiple_of(TIMED_EVERY).then(Instant::now)
    }

    /// An answer is there.
    pub(super) fn answered(&self, began: Option<Instant>) {
        if let Some(began) = began {
            self.seconds.record(began.elapsed());
        }
    }

    /// Asks something of the configuration in force.
    pub(super) fn with_live<T>(&self, ask: impl FnOnce(&Live) -> T) -> T {
        ask(self.live.borrow_mut().load())
    }

    /// Keeps a hit, and says what to wait for before it may be answered, if anything.
    pub(super) fn keep(&self, hit: &Hit, text: &dyn Fn(SideKind) -> Vec<u8>) -> Option<Kept> {
        let kept = match &self.keeper {
            Some(keeper) => keeper.borrow_mut().keep(hit, text),
            None => Err(Reason::RingFull),
        };
        match kept {
            Ok(kept) => (self.journal.durability() == Durability::Sync).then_some(kept),
            Err(reason) => {
                self.counters.say_dropped(hit.at, reason);
                None
            }
        }
    }

    /// What the agent string behind `id` is to the rule set that judges.
    pub(super) fn agent(&self, id: u64, rules: &RuleSet, agent: &[u8]) -> AgentFacts {
        let mut known = self.known_agents.borrow_mut();
        known.facts(id, &self.agents, rules, agent)
    }
}

impl Deref for Worker {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}
