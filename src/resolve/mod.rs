//! Token or code → link, in memory. Nothing here asks the database: the catalogue is loaded
//! once, changed by whoever changes the store, and kept in a local copy, so that an edge that
//! starts while the database is away still redirects.
//!
//! Readers load a snapshot and never wait. A snapshot is a frozen base and a small delta; an edit
//! copies the delta alone, and folds it into a new base when it has grown. Short links, of which
//! there may be millions, lie in tables of bytes (`short_links/`) and are never a list of changes.

pub mod fill;
mod key_file;
mod key_ring;
mod layered;
mod local_copy;
mod short_links;
mod take_over;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::domain::campaign::{
    ActionKind, CampaignId, LinkKind, LinkNumber, PrivacyLevel, TenantId,
};
use crate::domain::destination::Destination;
use crate::domain::id_map::IdMap;
use crate::domain::keys::TenantKeys;

use layered::Layered;
use local_copy::LocalCopy;
use short_links::ShortLinks;
use take_over::Loading;

pub use key_ring::{KeyRing, KeyRingError};
pub use local_copy::Change;
pub use short_links::{ShortLink, ShortLinkRef};
pub use take_over::TakeOver;

/// A link as the hot path needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub number: LinkNumber,
    /// What it does.
    pub kind: LinkKind,
    /// What its press means.
    pub action: Option<ActionKind>,
    /// Where it leads.
    pub destination: Destination,
    /// Disabled: answered 410.
    pub disabled: bool,
}

/// A campaign with its links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its number.
    pub id: CampaignId,
    /// The tenant whose keys sign its tokens.
    pub tenant: TenantId,
    /// Where honeypots lead.
    pub home: Destination,
    /// What may be recorded of its hits.
    pub level: PrivacyLevel,
    /// Links, sorted by number.
    pub links: Vec<Link>,
}

impl Campaign {
    /// Stands in for a campaign whose line in a damaged local copy is lost, while its links are
    /// not. The store mends it.
    fn orphanage(id: CampaignId) -> Self {
        Self {
            id,
            tenant: TenantId::FIRST,
            home: Destination::stored("https://example.invalid/".to_owned()),
            level: PrivacyLevel::Aggregate,
            links: Vec::new(),
        }
    }

    /// The link with this number.
    #[must_use]
    pub fn link(&self, number: u32) -> Option<&Link> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        match self.links.get(at) {
            Some(link) if link.number.get() == number => Some(link),
            // A damaged local copy may lack a link: its neighbours must not take its place.
            _ => self.links.iter().find(|link| link.number.get() == number),
        }
    }

    /// The unsubscribe link, if the campaign's function has a destination.
    #[must_use]
    pub fn unsubscribe(&self) -> Option<&Link> {
        self.links
            .iter()
            .find(|link| link.kind == LinkKind::Unsubscribe)
    }
}

/// What one moment's requests see.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    campaigns: Layered<CampaignId, Arc<Campaign>>,
    short_links: ShortLinks,
    keys: IdMap<TenantId, Arc<TenantKeys>>,
}

impl Snapshot {
    /// A campaign and the keys of its tenant.
    #[must_use]
    pub fn campaign(&self, id: CampaignId) -> Option<(&Arc<Campaign>, &Arc<TenantKeys>)> {
        let campaign = self.campaigns.get(&id)?;
        Some((campaign, self.keys.get(&campaign.tenant)?))
    }

    /// A short link by its code; case matters.
    #[must_use]
    pub fn short_link(&self, code: &str) -> Option<ShortLinkRef<'_>> {
        self.short_links.get(code)
    }

    /// Keys of a tenant.
    #[must_use]
    pub fn keys(&self, tenant: TenantId) -> Option<&Arc<TenantKeys>> {
        self.keys.get(&tenant)
    }

    /// How many campaigns and short links there are.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.campaigns.len(), self.short_links.len())
    }

    /// Whether a change would change nothing.
    fn holds(&self, change: &Change) -> bool {
        match change {
            Change::Campaign(new) => self.campaigns.get(&new.id).is_some_and(|old| {
                let links = old.links.clone();
                **old
                    == Campaign {
                        links,
                        ..new.clone()
                    }
            }),
            Change::Link(campaign, new) => self
                .campaigns
                .get(campaign)
                .is_some_and(|old| old.link(new.number.get()) == Some(new)),
            Change::Short(code, new) => self.short_links.holds(code, new),
        }
    }

    /// Campaigns, each followed by its links, as changes that would make them.
    fn campaign_changes(&self) -> impl Iterator<Item = Change> {
        self.campaigns.values().flat_map(|campaign| {
            let alone = Change::Campaign(Campaign {
                id: campaign.id,
                tenant: campaign.tenant,
                home: campaign.home.clone(),
                level: campaign.level,
                links: Vec::new(),
            });
            let links = campaign.links.iter().cloned();
            std::iter::once(alone).chain(links.map(|link| Change::Link(campaign.id, link)))
        })
    }

    /// Everything as changes that would make it, each made as it is asked for.
    fn changes(&self) -> impl Iterator<Item = Change> {
        let shorts = self.short_links.entries();
        self.campaign_changes()
            .chain(shorts.map(|(code, link)| Change::Short(code, link)))
    }

    /// How many changes would make it.
    fn changes_count(&self) -> usize {
        let campaigns = self.campaigns.values();
        let links: usize = campaigns.map(|campaign| campaign.links.len()).sum();
        self.campaigns.len() + links + self.short_links.len()
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Campaign(new) => {
                let links = self.campaigns.get(&new.id).map(|old| old.links.clone());
                let links = links.unwrap_or_default();
                self.campaigns
                    .insert(new.id, Arc::new(Campaign { links, ..new }));
            }
            Change::Link(campaign, link) => {
                let orphanage = || Arc::new(Campaign::orphanage(campaign));
                let place = self.campaigns.get_mut_or_else(campaign, orphanage);
                // Cheap while nobody else holds it, which is so when everything is loaded.
                let new = Arc::make_mut(place);
                match new
                    .links
                    .binary_search_by_key(&link.number, |one| one.number)
                {
                    Ok(place) => {
                        if let Some(slot) = new.links.get_mut(place) {
                            *slot = link;
                        }
                    }
                    Err(place) => new.links.insert(place, link),
                }
            }
            Change::Short(code, link) => self.short_links.insert(&code, &link),
        }
    }
}

/// The catalogue of one edge.
#[derive(Debug)]
pub struct Catalogue {
    now: ArcSwap<Snapshot>,
    copy: Mutex<LocalCopy>,
}

impl Catalogue {
    /// Opens the local copy at `path` and loads what it holds.
    ///
    /// # Errors
    /// The file cannot be read or made. Damaged lines are left out and counted, never an error.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut loading = Loading::new(Snapshot::default());
        let (links, text_bytes) = LocalCopy::short_links_at_most(path)?;
        loading.expect(links, text_bytes);
        let copy = LocalCopy::open(path, |change| loading.apply(change))?;
        let mut snapshot = loading.finish();
        snapshot.campaigns.fold();
        Ok(Self {
            now: ArcSwap::from_pointee(snapshot),
            copy: Mutex::new(copy),
        })
    }

    /// The snapshot of this moment.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.now.load()
    }

    /// Sets the keys of the tenants.
    pub fn set_keys(&self, keys: IdMap<TenantId, Arc<TenantKeys>>) {
        let _copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.now.load());
        next.keys = keys;
        self.now.store(Arc::new(next));
    }

    /// Begins to take over what the store holds.
    #[must_use]
    pub fn take_over(&self) -> TakeOver<'_> {
        TakeOver::new(self)
    }

    /// Puts changes into force that the store has taken: local copy first, then every request.
    ///
    /// # Errors
    /// The local copy could not be written; the changes are in force all the same.
    pub fn apply(&self, mut changes: Vec<Change>) -> std::io::Result<()> {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.now.load());
        changes.retain(|change| !next.holds(change));
        if changes.is_empty() {
            return Ok(());
        }
        let kept = copy.append(&changes);
        for change in changes {
            next.apply(change);
        }
        self.now.store(Arc::new(next));
        kept
    }
}
