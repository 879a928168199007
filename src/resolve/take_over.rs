//! Loading a catalogue a change at a time, from the local copy or from the store.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use crate::domain::campaign::{CampaignId, LinkNumber};

use super::short_links::ShortLinksDraft;
use super::{Catalogue, Change, Snapshot};

/// A snapshot that grows by many changes and is not in force yet.
#[derive(Debug)]
pub(super) struct Loading {
    next: Snapshot,
    short_links: ShortLinksDraft,
    changed: bool,
}

impl Loading {
    pub(super) fn new(next: Snapshot) -> Self {
        let short_links = ShortLinksDraft::new(next.short_links.clone());
        Self {
            next,
            short_links,
            changed: false,
        }
    }

    /// See [`ShortLinksDraft::expect`].
    pub(super) fn expect(&mut self, short_links: usize, text_bytes: usize) {
        self.short_links.expect(short_links, text_bytes);
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Short(code, link) => self.changed |= self.short_links.take(&code, &link),
            other => {
                if !self.next.holds(&other) {
                    self.changed = true;
                    self.next.apply(other);
                }
            }
        }
    }

    pub(super) fn finish(self) -> Snapshot {
        Snapshot {
            short_links: self.short_links.freeze(),
            ..self.next
        }
    }
}

/// What the store holds on its way into the catalogue. Requests see nothing of it until it is
/// finished; one that is dropped before changes nothing.
#[derive(Debug)]
pub struct TakeOver<'c> {
    catalogue: &'c Catalogue,
    began: Arc<Snapshot>,
    loading: Loading,
    campaigns: HashSet<CampaignId>,
    links: HashSet<(CampaignId, LinkNumber)>,
}

impl<'c> TakeOver<'c> {
    pub(super) fn new(catalogue: &'c Catalogue) -> Self {
        let began = catalogue.now.load_full();
        Self {
            catalogue,
            loading: Loading::new(Snapshot::clone(&began)),
            began,
            campaigns: HashSet::new(),
            links: HashSet::new(),
        }
    }

    /// Whether no short link is known here yet.
    #[must_use]
    pub fn knows_no_short_links(&self) -> bool {
        self.began.short_links.len() == 0
    }

    /// Says how many short links are about to be taken in, and how long their codes and URLs are
    /// in sum: memory for them is set aside once then. No more than a hint.
    pub fn expect(&mut self, short_links: usize, text_bytes: usize) {
        self.loading.expect(short_links, text_bytes);
    }

    /// Takes in something that the store holds.
    pub fn take(&mut self, change: Change) {
        match &change {
            Change::Campaign(campaign) => {
                self.campaigns.insert(campaign.id);
            }
            Change::Link(campaign, link) => {
                self.links.insert((*campaign, link.number));
            }
            // The draft of the short links marks them itself.
            Change::Short(..) => {}
        }
        self.loading.apply(change);
    }

    /// What is known here and was not taken in: mail with it is out, though the store may be an
    /// old one, restored. Campaigns come before their links.
    pub fn missing(&self) -> impl Iterator<Item = Change> {
        let campaigns = self.began.campaign_changes();
        let campaigns = campaigns.filter(|change| match change {
            Change::Campaign(campaign) => !self.campaigns.contains(&campaign.id),
            Change::Link(campaign, link) => !self.links.contains(&(*campaign, link.number)),
            Change::Short(..) => false,
        });
        let shorts = self.loading.short_links.missing();
        campaigns.chain(shorts.map(|(code, link)| Change::Short(code, link)))
    }

    /// Puts everything into force, and writes the local copy anew unless it says the same
    /// already. What is known here alone stays.
    ///
    /// # Errors
    /// The local copy could not be written; the snapshot is in force all the same.
    pub fn finish(self) -> std::io::Result<()> {
        let catalogue = self.catalogue;
        let mut copy = catalogue
            .copy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = catalogue.now.load_full();
        let mut changed = self.loading.changed;
        let mut next = self.loading.finish();
        if !Arc::ptr_eq(&now, &self.began) {
            // An edit that was on its way when this began: what it made must not go.
            for change in now.changes().filter(|change| !self.began.holds(change)) {
                changed = true;
                next.apply(change);
            }
        }
        next.keys.clone_from(&now.keys);
        next.campaigns.fold();
        let kept = if !changed && copy.has_only(next.changes_count()) {
            Ok(())
        } else {
            copy.rewrite(next.changes())
        };
        catalogue.now.store(Arc::new(next));
        kept
    }
}
