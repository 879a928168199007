//! States of messages that were touched lately: a message's hits come close together, and the store
//! need not be asked for each of them.

use std::collections::HashMap;

use crate::domain::message::MessageId;
use crate::store::{MessageState, Store, StoreError};

use super::States;

/// Messages of one generation; two are kept. A state takes some 150 bytes.
const GENERATION_MAX: usize = 25_000;

/// What the store says of some messages. Nobody else may move it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Known {
    young: States,
    old: States,
}

impl Known {
    /// States of those of `ids` that have one, taken out: [`Known::learn`] takes them back.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        ids: Vec<MessageId>,
    ) -> Result<States, StoreError> {
        let mut states = HashMap::with_capacity(ids.len());
        let mut unknown = Vec::new();
        for id in ids {
            match self.young.remove(&id).or_else(|| self.old.remove(&id)) {
                Some(state) => {
                    states.insert(id, state);
                }
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            states.extend(store.message_states(&unknown).await?);
        }
        Ok(states)
    }

    /// What the store has now.
    pub(super) fn learn(&mut self, states: impl IntoIterator<Item = (MessageId, MessageState)>) {
        self.young.extend(states);
        if self.young.len() > GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
    }
}
