//! Why a hit was judged as it was, in sentences: the sum, the hits around it that counted, what
//! was known of it from before, and what would have turned it.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::campaign::PrivacyLevel;
use crate::domain::network::Lists;
use crate::domain::record::{Hit, Target};
use crate::judge::signals::Family;
use crate::judge::{self, RuleSet, Turn};
use crate::store::{EarlierJudgement, StoredHit};

use super::super::Parts;
use super::super::auth::MayRead;
use super::super::error::WebError;
use super::company::{Company, Rests};
use super::events::{found, id as name_of, judgement};
use super::query;
use super::rulesets::{Kept, readable};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What would judge it; without it, what does.
    ruleset: Option<String>,
}

pub(super) async fn get(
    _caller: MayRead,
    parts: web::Data<Parts>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let asked: Asked = query(&request)?;
    let store = parts.store()?;
    let mut stored = found(&store, &id).await?;
    let earlier = store
        .earlier_judgements(stored.edge, stored.sequence)
        .await?;
    let in_force = stored.hit.ruleset;
    // What judges facts again takes them as they are: their windows are those of who found them.
    let same_facts = |it: &&EarlierJudgement| it.facts == stored.hit.facts;
    let first = earlier.iter().rev().take_while(same_facts).last();
    let found_by = parts.rules_of(first.map_or(in_force, |it| it.ruleset));
    let individual = stored.hit.level == PrivacyLevel::Individual;
    let rules = match &asked.ruleset {
        Some(name) => Some(Arc::new(readable(
            Kept::of(&parts).await?.named(&parts, name)?,
        )?)),
        None => parts.rules_of(in_force),
    };
    let Some(rules) = rules.filter(|_| individual) else {
        let what = match individual {
            true => "The rule set that judged it is not known here: nobody can say why.",
            false => "The privacy level keeps no reasons: the class is what was said when it came.",
        };
        let members = json!({"text": [verdict(&stored, None), what]});
        return Ok(shown(&parts, &stored, members));
    };
    if asked.ruleset.is_some() {
        stored.hit.verdict = judge::judge(&rules, stored.hit.kind, stored.hit.facts);
        stored.hit.ruleset = rules.id();
    }
    let company = Company::of(&store, &stored).await?;
    let windows_of = found_by.unwrap_or_else(|| Arc::clone(&rules));
    let explained = judge::explain(&rules, stored.hit.kind, stored.hit.facts);
    let why = Why {
        rests: company.rests(windows_of.windows(), &explained),
        earlier,
        turn: judge::turn(&rules, stored.hit.kind, stored.hit.facts),
        parts: &parts,
        stored: &stored,
        rules: &rules,
        windows_of: &windows_of,
        would: asked.ruleset.is_some(),
        company: &company,
    };
    Ok(shown(&parts, &stored, why.members()))
}

/// The answer: the hit and its judgement, and these members.
fn shown(parts: &Parts, stored: &StoredHit, mut members: Value) -> HttpResponse {
    let hit = json!({
        "id": name_of(stored),
        "at": stored.hit.at,
        "kind": stored.hit.kind,
        "judgement": judgement(parts, stored),
    });
    if let (Some(members), Value::Object(hit)) = (members.as_object_mut(), hit) {
        members.extend(hit);
    }
    HttpResponse::Ok().json(members)
}

struct Why<'a> {
    parts: &'a Parts,
    stored: &'a StoredHit,
    rules: &'a RuleSet,
    /// By whose windows its facts were found.
    windows_of: &'a RuleSet,
    /// It is not by them that it is judged.
    would: bool,
    company: &'a Company,
    rests: Vec<Rests>,
    earlier: Vec<EarlierJudgement>,
    turn: Turn,
}

impl Why<'_> {
    fn members(&self) -> Value {
        let hit = &self.stored.hit;
        let (without, more) = match &self.turn {
            Turn::Without(signals, verdict) => {
                let names: Vec<_> = signals.iter().map(|signal| signal.name).collect();
                let score = verdict.score.percent();
                let without = json!({"signals": names, "class": verdict.class, "score": score});
                (Some(without), None)
            }
            Turn::More { suspect, machine } => {
                let rounded = |more: &Option<f64>| more.map(hundredths);
                let more = json!({"suspect": rounded(suspect), "machine": rounded(machine)});
                (None, Some(more))
            }
            Turn::Nothing => (None, None),
        };
        json!({
            "sum": hundredths(judge::sum(self.rules, hit.kind, hit.facts)),
            "signals": self.rests.iter().map(|rests| self.signal(rests)).collect::<Vec<_>>(),
            "neighbours": self.neighbours(),
            "human_without": without,
            "more_evidence": more,
            "lists_version": hit.network.lists_version,
            "own_network": hit.network.lists.any(Lists::OWN),
            "accepted_at": self.company.accepted_at,
            "earlier": self.earlier.iter().map(|it| self.before(it)).collect::<Vec<_>>(),
            "text": self.text(),
        })
    }

    fn signal(&self, rests: &Rests) -> Value {
        let about = judge::about(rests.signal);
        json!({
            "name": rests.signal.name,
            "family": rests.signal.family.name(),
            "weight": rests.weight,
            "holds": judge::holds(self.windows_of, rests.signal),
            "evidence": about.map(|about| &about.evidence),
            "victims": about.map(|about| &about.victims),
            "neighbours": rests.on.as_ref().map(|on| self.ids(on)),
        })
    }

    fn ids(&self, places: &[usize]) -> Vec<&str> {
        let id = |place: &usize| self.company.hits.get(*place).map(|(id, _)| id.as_str());
        places.iter().filter_map(id).collect()
    }

    fn neighbours(&self) -> Vec<Value> {
        let own = self.stored.as_neighbour();
        let shown = self.company.others().map(|(place, id, recent)| {
            let seen = &recent.seen;
            let counted = self.rests.iter().filter(|rests| {
                let on = rests.on.as_ref();
                on.is_some_and(|on| on.contains(&place))
            });
            let counted: Vec<_> = counted.map(|rests| rests.signal.name).collect();
            json!({
                "id": id,
                "at": seen.at,
                "kind": seen.kind,
                "link": (seen.link > 0).then_some(seen.link),
                "org": self.parts.networks.organisation(seen.asn),
                "class": recent.verdict.class,
                "same_network": own.network != 0 && own.network == seen.network,
                "same_agent": own.agent == seen.agent,
                "counted_for": counted,
            })
        });
        shown.collect()
    }

    fn before(&self, earlier: &EarlierJudgement) -> Value {
        let rules = self.parts.rules_of(earlier.ruleset);
        json!({
            "until": earlier.replaced_at,
            "class": earlier.verdict.class,
            "score": earlier.verdict.score.percent(),
            "signals": judge::signals(earlier.facts).collect::<Vec<_>>(),
            "ruleset": rules.map(|rules| rules.label()),
        })
    }

    fn text(&self) -> Vec<String> {
        let would = self.would.then(|| self.rules.label());
        let mut text = vec![verdict(self.stored, would.as_deref())];
        let prior = judge::explain(self.rules, self.stored.hit.kind, self.stored.hit.facts).prior;
        text.push(format!("It begins at {prior:+.1}, before any evidence."));
        let mut heaviest: Vec<_> = self.rests.iter().collect();
        heaviest.sort_by(|one, other| other.weight.abs().total_cmp(&one.weight.abs()));
        text.extend(heaviest.into_iter().map(|rests| self.sentence(rests)));
        let sum = judge::sum(self.rules, self.stored.hit.kind, self.stored.hit.facts);
        let score = self.stored.hit.verdict.score.percent();
        text.push(format!(
            "That comes to {sum:+.2}, a chance of {score:.1} %."
        ));
        text.push(self.turned());
        text.push(reused(&self.stored.hit, self.stored.prefix.is_some()));
        text.push(self.remembered());
        if self.stored.hit.message.is_some() {
            text.push(match self.company.accepted_at {
                Some(at) => format!("Its mail was accepted at {at}."),
                None => "No delivery event says when its mail was accepted.".to_owned(),
            });
        }
        text.extend(self.earlier.iter().map(|earlier| {
            let (class, score) = (earlier.verdict.class.name(), earlier.verdict.score);
            let (score, until) = (score.percent(), earlier.replaced_at);
            format!("Until {until} it was {class} ({score:.1}).")
        }));
        text
    }

    fn sentence(&self, rests: &Rests) -> String {
        let Rests { signal, weight, on } = rests;
        let holds = judge::holds(self.windows_of, signal).unwrap_or_default();
        let on = match on {
            Some(on) => format!(" It rests on {}.", self.ids(on).join(", ")),
            None if signal.family == Family::Neighbours => {
                " Among what is remembered now it does not hold any more.".to_owned()
            }
            None => String::new(),
        };
        format!("{weight:+.1} {}: {holds}{on}", signal.name)
    }

    fn turned(&self) -> String {
        match &self.turn {
            Turn::Without(signals, verdict) => {
                let names: Vec<_> = signals.iter().map(|signal| signal.name).collect();
                let names = match names.split_last() {
                    Some((last, rest)) if !rest.is_empty() => {
                        format!("{} and {last}", rest.join(", "))
                    }
                    _ => names.concat(),
                };
                let (class, score) = (verdict.class.name(), verdict.score.percent());
                format!("Without {names} it would be {class} ({score:.1}).")
            }
            Turn::More { suspect, machine } => {
                let and = |more: &Option<f64>, what: &str| {
                    more.map(|more| format!("{:+.2} more and {what}", hundredths(more)))
                };
                let said = [
                    and(suspect, "nobody could say"),
                    and(machine, "it would be a machine's"),
                ];
                let said: Vec<_> = said.into_iter().flatten().collect();
                match said.is_empty() {
                    true => "No evidence would make it a machine's.".to_owned(),
                    false => format!("{}.", said.join("; ")),
                }
            }
            Turn::Nothing => {
                "Nothing that a signal says would turn it: it is so by rule, or by what \
                it begins at."
                    .to_owned()
            }
        }
    }

    fn remembered(&self) -> String {
        let others = self.company.others().count();
        let counts = |place: usize| {
            let mut on = self.rests.iter().filter_map(|rests| rests.on.as_ref());
            on.any(|on| on.contains(&place))
        };
        let counted = self.company.others().filter(|(place, ..)| counts(*place));
        match (self.stored.hit.message, others, counted.count()) {
            (None, ..) => "It is of no message: nothing around it was looked at.".to_owned(),
            (_, 0, _) => "No other hit of its message is remembered.".to_owned(),
            (_, others, counted) => {
                let (hits, are) = match others {
                    1 => ("hit", "is"),
                    _ => ("hits", "are"),
                };
                format!("Of its message {others} other {hits} {are} remembered; {counted} counted.")
            }
        }
    }
}

/// What was said, in a sentence; or what would be, by a rule set of this name.
fn verdict(stored: &StoredHit, by: Option<&str>) -> String {
    let hit = &stored.hit;
    let on = match hit.target {
        Target::Campaign(campaign, 0) => format!("of campaign {}", campaign.get()),
        Target::Campaign(campaign, link) => {
            format!("on link {link} of campaign {}", campaign.get())
        }
        Target::Short(id) => format!("on short link {id}"),
    };
    let (kind, class) = (hit.kind.name(), hit.verdict.class.name());
    let stage = match stored.settled {
        true => "settled",
        false => "provisional: its window is open",
    };
    match hit.level {
        PrivacyLevel::Individual => {
            let score = hit.verdict.score.percent();
            let was = match by {
                Some(by) => format!("by {by} would be"),
                None => "was".to_owned(),
            };
            let said = format!("The {kind} {on} {was} judged {class} ({stage})");
            format!("{said}: a machine made it with a chance of {score:.1} %.")
        }
        _ => format!("The {kind} {on} was judged {class}."),
    }
}

/// Which facts are as they were when the hit came.
fn reused(hit: &Hit, prefix: bool) -> String {
    let address = match prefix {
        true => "Its address is not kept, only the network that it is in",
        false => "Its address is not kept",
    };
    let version = hit.network.lists_version;
    let lists = match hit.network.lists.any(Lists::OWN) {
        true => "the rule set's own networks".to_owned(),
        false => format!("network lists {version:04x}"),
    };
    format!(
        "{address}; what is said of network, agent and headers is what was found when it came \
        ({lists})."
    )
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
