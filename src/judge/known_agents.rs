//! What agent strings are, remembered: a few thousand make up nearly all requests.

use super::agent::{AgentFacts, Agents};
use crate::domain::id_map::IdMap;

/// Agent strings that are remembered; with one more it begins anew.
const AGENTS_MAX: usize = 8_192;

/// Facts of agent strings, by the ids of the strings.
#[derive(Debug, Default)]
pub struct KnownAgents(IdMap<u64, AgentFacts>);

impl KnownAgents {
    /// What the agent string behind `id` is; the lists are asked the first time.
    pub fn facts(&mut self, id: u64, agents: &Agents, agent: &[u8]) -> AgentFacts {
        if let Some(facts) = self.0.get(&id) {
            return *facts;
        }
        if self.0.len() >= AGENTS_MAX {
            self.0.clear();
        }
        *self.0.entry(id).or_insert_with(|| agents.classify(agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let agents = Agents::shipped().unwrap();
        let mut known = KnownAgents::default();
        for id in 0..3 * AGENTS_MAX as u64 {
            let agent = format!("curl/{id}");
            let facts = known.facts(id, &agents, agent.as_bytes());
            assert_eq!(facts.kind, agents.classify(b"curl/8").kind);
            assert!(known.0.len() <= AGENTS_MAX);
        }
    }
}
