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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::{LinkKind, PrivacyLevel, ShortLinkId, TenantId};
    use crate::domain::destination::Destination;
    use crate::resolve::{Campaign, Link, ShortLink};

    fn campaign(id: u32) -> Change {
        Change::Campaign(Campaign {
            id: CampaignId::new(id).unwrap(),
            tenant: TenantId::FIRST,
            home: Destination::parse("https://home.example/").unwrap(),
            level: PrivacyLevel::Individual,
            links: Vec::new(),
        })
    }

    fn link(of: u32, number: u32) -> Change {
        Change::Link(
            CampaignId::new(of).unwrap(),
            Link {
                number: LinkNumber::new(number).unwrap(),
                kind: LinkKind::Content,
                action: None,
                destination: Destination::parse("https://a.example/?{v1}").unwrap(),
                disabled: false,
            },
        )
    }

    fn short(code: &str, id: u32) -> Change {
        let link = ShortLink {
            id: ShortLinkId::new(id).unwrap(),
            destination: Destination::parse("https://b.example/").unwrap(),
            expires_at: None,
            disabled: false,
        };
        Change::Short(code.to_owned(), link)
    }

    /// Lines of what a catalogue holds, in one order.
    fn held(catalogue: &Catalogue) -> Vec<String> {
        let changes = catalogue.load();
        let mut lines: Vec<_> = changes.changes().map(|one| format!("{one:?}")).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_the_store_lacks_is_missing_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue");
        let catalogue = Catalogue::open(&path).unwrap();
        let known = [
            campaign(1),
            link(1, 1),
            link(1, 2),
            campaign(2),
            link(2, 1),
            short("one", 1),
            short("two", 2),
        ];
        catalogue.apply(known.to_vec()).unwrap();
        let mut taking = catalogue.take_over();
        for change in [campaign(1), link(1, 2), short("two", 9), short("new", 3)] {
            taking.take(change);
        }
        let mut missing: Vec<_> = taking.missing().collect();
        let place = |wanted: &Change| missing.iter().position(|one| one == wanted);
        assert!(place(&campaign(2)) < place(&link(2, 1)), "campaigns first");
        missing.sort_by_key(|one| format!("{one:?}"));
        assert_eq!(
            missing,
            [campaign(2), link(1, 1), link(2, 1), short("one", 1)]
        );
        taking.finish().unwrap();
        let now = catalogue.load();
        assert_eq!(now.sizes(), (2, 3));
        assert_eq!(now.short_link("two").unwrap().id.get(), 9, "the store's");
        assert_eq!(held(&Catalogue::open(&path).unwrap()), held(&catalogue));
    }

    #[test]
    fn a_copy_that_says_the_same_is_not_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue");
        let catalogue = Catalogue::open(&path).unwrap();
        let all = [campaign(1), link(1, 1), short("one", 1)];
        catalogue.apply(all.to_vec()).unwrap();
        let take_over = |changes: &[Change]| {
            let mut taking = catalogue.take_over();
            changes.iter().for_each(|one| taking.take(one.clone()));
            taking.finish().unwrap();
            std::fs::read(&path).unwrap()
        };
        // Appending begins with a line end; rewriting does not.
        assert_eq!(take_over(&all)[0], b'\n');
        catalogue.apply(vec![short("one", 2)]).unwrap();
        assert_ne!(take_over(&[])[0], b'\n', "a line that no longer counts");
        catalogue.apply(vec![short("two", 2)]).unwrap();
        let mut torn = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        std::io::Write::write_all(&mut torn, b"damage\n").unwrap();
        let again = Catalogue::open(&path).unwrap();
        again.take_over().finish().unwrap();
        let mended = std::fs::read(&path).unwrap();
        assert!(!mended.windows(6).any(|bytes| bytes == b"damage"));
        assert_eq!(held(&Catalogue::open(&path).unwrap()), held(&catalogue));
    }

    #[test]
    fn an_edit_meanwhile_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue");
        let catalogue = Catalogue::open(&path).unwrap();
        catalogue.apply(vec![short("one", 1)]).unwrap();
        let mut taking = catalogue.take_over();
        taking.take(short("one", 1));
        let late = [short("one", 5), short("late", 6), campaign(1), link(1, 1)];
        catalogue.apply(late.to_vec()).unwrap();
        catalogue.set_keys(crate::domain::id_map::IdMap::default());
        taking.finish().unwrap();
        let now = catalogue.load();
        assert_eq!(now.sizes(), (1, 2));
        assert_eq!(now.short_link("one").unwrap().id.get(), 5);
        assert_eq!(held(&Catalogue::open(&path).unwrap()), held(&catalogue));
    }
}
