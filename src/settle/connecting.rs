//! Beginning with a store, and beginning anew where leases are others than before.

use crate::domain::time::Micros;
use crate::store::{Shared, Store, Turns};

use super::connected::{Connected, Own};
use super::held::Held;
use super::sweepers::Sweepers;
use super::{SettleError, Settler};

impl Settler {
    /// Leases are renewed now and then; with others than before it begins anew.
    pub(super) async fn renew(
        &mut self,
        mut connected: Connected,
        store: &Store,
        now: Micros,
    ) -> Result<Connected, SettleError> {
        let (Held::Leased(leased), Some(shared)) = (&mut connected.held, store.shared()) else {
            return Ok(connected);
        };
        if !self.options.settles || !leased.is_to_renew(now) {
            return Ok(connected);
        }
        let turns = shared.lease(self.journal.edge()).await?;
        if turns == *leased.turns() {
            leased.renewed(now);
            return Ok(connected);
        }
        tracing::info!(
            shards = turns.len(),
            "settle: settles other shards than before"
        );
        self.connect_with(store, Some((shared, turns)), now).await
    }

    /// Asks the store where it is, and begins to read there.
    pub(super) async fn connect(
        &mut self,
        store: &Store,
        now: Micros,
    ) -> Result<Connected, SettleError> {
        let shared = match store.shared() {
            Some(shared) if self.options.settles => {
                Some((shared, shared.lease(self.journal.edge()).await?))
            }
            shared => shared.map(|shared| (shared, Turns::new())),
        };
        self.connect_with(store, shared, now).await
    }

    async fn connect_with(
        &mut self,
        store: &Store,
        shared: Option<(Shared<'_>, Turns)>,
        now: Micros,
    ) -> Result<Connected, SettleError> {
        let id = self.journal.edge();
        let (edge, position) = store.edge(id, now).await?;
        self.journal.skip_to(position.sequence);
        let own = Own {
            edge,
            id,
            position,
            reader: self.journal.reader(position.sequence),
            shipped_to: Micros::default(),
        };
        let since = self.hears_since.unwrap_or_default();
        let times = (since, now);
        let mut connected = Connected::begin(own, shared, &self.options, times).await?;
        for sweep in store.sweeps(Sweepers::since(now)).await? {
            connected.known.sweepers.note(&sweep);
        }
        connected.shadows = self
            .shadows(store, &store.open_rejudgements().await?, now)
            .await?;
        Ok(connected)
    }
}
