//! What judging at the edge costs beyond time: nothing.

use cupel::domain::hit::{HitKind, HttpVersion, Method, Scheme, TokenState};
use cupel::judge::{Agents, Headers, KnownAgents, Observed, RuleSet, judge, observe};
use cupel::network::Networks;

use crate::commonest::commonest;
use crate::judge::corpora;

/// With the agent known, as it is but once in thousands of requests.
#[test]
fn judging_at_the_edge_allocates_nothing() {
    let (agents, networks) = (Agents::shipped().unwrap(), Networks::shipped().unwrap());
    let rules = RuleSet::shipped().unwrap();
    let sets = commonest(&corpora().join("headers"), 4);
    assert_eq!(sets.len(), 4);
    let address = "5.161.10.10".parse().unwrap();
    for (id, set) in (1..).zip(&sets) {
        let mut known = KnownAgents::default();
        let mut judged = || {
            let mut headers = Headers::default();
            for (name, value) in set {
                headers.set(name, value);
            }
            let agent = headers.user_agent.unwrap_or_default();
            let facts = observe(&Observed {
                kind: HitKind::Click,
                method: Method::Get,
                scheme: Scheme::Https,
                http: HttpVersion::Http2,
                agent: known.facts(id, &agents, &rules, agent),
                headers: &headers,
                network: rules.own().network(address, networks.facts(address)),
                token: TokenState::Valid,
                honeypot: false,
                one_click: false,
                passed: false,
            });
            judge(&rules, HitKind::Click, facts)
        };
        let first = allocation_counter::measure(|| {
            judged();
        });
        assert!(first.count_total > 0, "it counts: the agent is put down");
        let again = allocation_counter::measure(|| {
            judged();
        });
        assert_eq!(again.count_total, 0, "{set:?}");
    }
}
