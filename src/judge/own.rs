//! Networks and agents of one's own, which a rule set names: what it says of them stands in the
//! place of what the shipped lists say.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use toml::Spanned;

use super::agent::AgentKind;
use super::ruleset_error::{RuleSetError, value_error};
use crate::domain::network::{Lists, NetworkFacts};
use crate::network::{DraftLists, NetworkLists};

/// Entries by the list or kind that they are put on.
pub(super) type Written = BTreeMap<Spanned<String>, Vec<Spanned<String>>>;

/// A string that is shorter is in many agents by chance.
const AGENT_BYTES_MIN: usize = 4;

/// Networks and agents of one's own.
#[derive(Debug, Default)]
pub struct Own {
    networks: Option<NetworkLists>,
    agents: Option<(AhoCorasick, Vec<(usize, AgentKind)>)>,
    entries: Vec<OwnEntry>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnEntry {
    /// `networks` or `agents`.
    pub section: &'static str,
    /// The network, or what the agent has in it.
    pub entry: String,
    /// The list that it is on, or the kind of client that it is.
    pub name: String,
}

impl Own {
    pub(super) fn read(
        text: &str,
        networks: &Written,
        agents: &Written,
    ) -> Result<Self, RuleSetError> {
        let wrong = |at: &Spanned<String>, what: String| {
            value_error(text, at.span().start, at.get_ref(), what)
        };
        let mut own = Self::default();
        let mut draft = DraftLists::default();
        for (name, entries) in networks {
            let list = Lists::named(name.get_ref());
            let list = list.ok_or_else(|| {
                wrong(name, format!("no such list; there are {}", Lists::names()))
            })?;
            for entry in entries {
                let added = draft.add(list, entry.get_ref());
                added.map_err(|what| wrong(entry, what))?;
                own.push("networks", entry, name);
            }
        }
        own.networks = (!own.entries.is_empty()).then(|| draft.finish());
        let (mut patterns, mut kinds) = (Vec::new(), Vec::new());
        let mut known = HashSet::new();
        for (name, entries) in agents {
            let kind = AgentKind::from_name(name.get_ref()).filter(|it| *it != AgentKind::Empty);
            let kind = kind.ok_or_else(|| {
                let kinds = AgentKind::ALL.iter().filter(|it| **it != AgentKind::Empty);
                let kinds: Vec<_> = kinds.map(|kind| kind.name()).collect();
                wrong(
                    name,
                    format!("no such kind of client; there are {}", kinds.join(", ")),
                )
            })?;
            for entry in entries {
                let part = entry.get_ref();
                if part.trim().len() < AGENT_BYTES_MIN {
                    return Err(wrong(entry, "shorter than 4 bytes".to_owned()));
                }
                if !known.insert(part.to_ascii_lowercase()) {
                    let what = "is there already; case does not matter";
                    return Err(wrong(entry, what.to_owned()));
                }
                patterns.push(part);
                kinds.push((part.len(), kind));
                own.push("agents", entry, name);
            }
        }
        if let (Some(first), false) = (agents.keys().next(), patterns.is_empty()) {
            let matcher = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(&patterns)
                .map_err(|error| wrong(first, error.to_string()))?;
            own.agents = Some((matcher, kinds));
        }
        own.entries.sort();
        Ok(own)
    }

    fn push(&mut self, section: &'static str, entry: &Spanned<String>, name: &Spanned<String>) {
        self.entries.push(OwnEntry {
            section,
            entry: entry.get_ref().clone(),
            name: name.get_ref().clone(),
        });
    }

    /// All of them, in order.
    #[must_use]
    pub fn entries(&self) -> &[OwnEntry] {
        &self.entries
    }

    /// What is to be said of a network of which the shipped tables say this.
    #[must_use]
    pub fn network(&self, address: IpAddr, shipped: NetworkFacts) -> NetworkFacts {
        let Some(networks) = &self.networks else {
            return shipped;
        };
        match networks.of(address, shipped.asn) {
            Lists::NONE => shipped,
            own => NetworkFacts {
                lists: own.and(Lists::OWN),
                ..shipped
            },
        }
    }

    /// The kind of client that an agent is: of the longest string that is in it.
    #[must_use]
    pub fn agent(&self, agent: &[u8]) -> Option<AgentKind> {
        let (matcher, kinds) = self.agents.as_ref()?;
        let found = matcher.find_overlapping_iter(agent);
        let kinds = found.filter_map(|found| kinds.get(found.pattern().as_usize()));
        kinds
            .max_by_key(|(length, _)| *length)
            .map(|(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Agents, RuleSet};

    fn with(networks: &str, agents: &str) -> RuleSet {
        let text = RuleSet::shipped().unwrap().text().to_owned();
        let text = text.replace("[networks]", &format!("[networks]\n{networks}"));
        RuleSet::parse(&text.replace("[agents]", &format!("[agents]\n{agents}"))).unwrap()
    }

    #[test]
    fn what_is_said_of_ones_own_network_is_said_in_the_place_of_the_shipped_lists() {
        let rules = with(
            "human_egress = ['AS64500', '203.0.113.0/24', '2001:db8::/32']\n\
            certain_scanner = ['203.0.113.128/25']",
            "",
        );
        let shipped = |asn| NetworkFacts {
            asn,
            lists: Lists::HOSTING,
            lists_version: 7,
        };
        let said = |address: &str, asn| {
            let said = rules.own().network(address.parse().unwrap(), shipped(asn));
            assert_eq!((said.asn, said.lists_version), (asn, 7));
            said.lists
        };
        let people = Lists::HUMAN_EGRESS.and(Lists::OWN);
        assert_eq!(said("203.0.113.1", 1), people);
        assert_eq!(said("::ffff:203.0.113.1", 1), people);
        assert_eq!(said("2001:db8::1", 1), people);
        assert_eq!(said("198.51.100.1", 64_500), people);
        let both = people.and(Lists::CERTAIN_SCANNER);
        assert_eq!(said("203.0.113.255", 1), both);
        assert_eq!(said("198.51.100.1", 1), Lists::HOSTING);
    }

    #[test]
    fn an_agent_of_ones_own_is_of_the_kind_of_the_longest_string_in_it() {
        let agents = Agents::shipped().unwrap();
        let rules = with(
            "",
            "security_scanner = ['acme/']\nbrowser = ['Acme/Desk']\nlibrary = ['Mail']",
        );
        let kind = |agent: &str| agents.classify_for(&rules, agent.as_bytes()).kind;
        assert_eq!(kind("ACME/1"), AgentKind::SecurityScanner);
        assert_eq!(kind("Mail acme/desktop 2"), AgentKind::Browser);
        assert_eq!(kind("curl/8"), AgentKind::Library);
        let far = format!("{} acme/1", "x ".repeat(600));
        assert_ne!(kind(&far), AgentKind::SecurityScanner);
    }
}
