//! What agent strings are, remembered: a few thousand make up nearly all requests.

use super::RuleSet;
use super::agent::{AgentFacts, Agents};
use crate::domain::id_map::IdMap;
use crate::domain::judgement::RuleSetId;

/// Agent strings that are remembered; with one more it begins anew.
const AGENTS_MAX: usize = 8_192;

/// Facts of agent strings, by the ids of the strings, as one rule set's lists have them.
#[derive(Debug, Default)]
pub struct KnownAgents {
    rules: Option<RuleSetId>,
    facts: IdMap<u64, AgentFacts>,
}

impl KnownAgents {
    /// What the agent string behind `id` is; the lists are asked the first time.
    pub fn facts(&mut self, id: u64, agents: &Agents, rules: &RuleSet, agent: &[u8]) -> AgentFacts {
        if self.rules != Some(rules.id()) {
            self.facts.clear();
            self.rules = Some(rules.id());
        }
        if let Some(facts) = self.facts.get(&id) {
            return *facts;
        }
        if self.facts.len() >= AGENTS_MAX {
            self.facts.clear();
        }
        let facts = || agents.classify_for(rules, agent);
        *self.facts.entry(id).or_insert_with(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let agents = Agents::shipped().unwrap();
        let rules = RuleSet::shipped().unwrap();
        let mut known = KnownAgents::default();
        for id in 0..3 * AGENTS_MAX as u64 {
            let agent = format!("curl/{id}");
            let facts = known.facts(id, &agents, &rules, agent.as_bytes());
            assert_eq!(facts.kind, agents.classify(b"curl/8").kind);
            assert!(known.facts.len() <= AGENTS_MAX);
        }
    }
}
