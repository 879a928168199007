//! The judge against real user agents and real requests, made by others. The agent lists come
//! from two of these sources, so recall here says that nothing was lost, not what is unknown.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a corpus of another form fails the test, with the place"
)]

use std::path::PathBuf;
use std::process::Command;

use cupel::domain::hit::{HitKind, HttpVersion, Method, Scheme, TokenState};
use cupel::domain::judgement::{Class, Verdict};
use cupel::domain::network::NetworkFacts;
use cupel::judge::{AgentKind, Agents, Headers, Observed, RuleSet, judge, observe};
use serde_json::Value;

pub(crate) fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora")
}

fn read(path: &str) -> String {
    let path = corpora().join(path);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("this test needs the corpora: {}: {error}", path.display()))
}

fn is_machine(kind: AgentKind) -> bool {
    !matches!(
        kind,
        AgentKind::Browser | AgentKind::App | AgentKind::MailClient
    )
}

/// Agents of isbot's fixtures: every value of a mapping of lists of plain or quoted scalars.
fn isbot(file: &str) -> Vec<String> {
    read(&format!("ua/isbot/{file}"))
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- "))
        .map(|agent| match agent.strip_prefix('"') {
            Some(quoted) => quoted.trim_end_matches('"').replace("\\\"", "\""),
            None => agent.trim_matches('\'').replace("''", "'"),
        })
        .collect()
}

#[test]
fn named_robots_are_recognised() {
    let agents = Agents::shipped().unwrap();
    let list = read("ua/crawler-user-agents/crawler-user-agents-1.67.0.json");
    let list: Value = serde_json::from_str(&list).unwrap();
    let instances: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|robot| robot["instances"].as_array().unwrap())
        .map(|agent| agent.as_str().unwrap().to_owned())
        .collect();
    for (name, robots) in [
        ("crawler-user-agents", instances),
        ("isbot", isbot("crawlers.yml")),
    ] {
        assert!(robots.len() > 500, "{name}: {} agents", robots.len());
        let missed: Vec<_> = robots
            .iter()
            .filter(|agent| !is_machine(agents.classify(agent.as_bytes()).kind))
            .collect();
        assert!(missed.len() * 100 <= robots.len(), "{name}: {missed:#?}");
    }
}

#[test]
fn no_browser_is_taken_for_a_robot() {
    let agents = Agents::shipped().unwrap();
    let people = read("ua/human-intoli-filtered.tsv");
    let people = people
        .lines()
        .map(|line| line.split_once('\t').unwrap().1.to_owned());
    let taken: Vec<_> = isbot("browsers.yml")
        .into_iter()
        .chain(people)
        .filter(|agent| is_machine(agents.classify(agent.as_bytes()).kind))
        .collect();
    assert!(taken.is_empty(), "{taken:#?}");
}

#[test]
fn agents_of_mail_are_what_they_are_labelled() {
    let agents = Agents::shipped().unwrap();
    for line in read("ua/email-labelled.tsv").lines() {
        let mut fields = line.split('\t');
        let (label, agent) = (fields.next().unwrap(), fields.next().unwrap());
        let facts = agents.classify(agent.as_bytes());
        let right = match label {
            "image_proxy_human_open" => facts.kind == AgentKind::ImageProxy,
            "prefetch_machine_open" => facts.kind == AgentKind::PrefetchGmail,
            "privacy_prefetch_open" => facts.kind == AgentKind::PrefetchApple,
            "preview" => facts.kind == AgentKind::Previewer,
            // Defender's agents are an old browser's; only their age and version show.
            "scanner" => {
                facts.kind == AgentKind::SecurityScanner
                    || (facts.stale && facts.claims.full_version)
            }
            _ => label.starts_with("mail_client_human") && facts.kind == AgentKind::MailClient,
        };
        assert!(right, "{label}: {:?}: {agent}", facts.kind);
    }
}

/// One captured request, with what the harness knows about it.
struct Captured {
    truth: String,
    agent: String,
    client: String,
    request: Value,
}

impl Captured {
    /// Whether it shows that no person did it: headless, or driven by a test tool.
    fn automated(&self) -> bool {
        let says = |field: &str, word| self.request[field].as_str().unwrap().contains(word);
        self.agent.contains("Headless") || says("mode", "playwright") || says("mode", "puppeteer")
    }

    /// Whether nothing in the request tells: a person may sit before a text browser, and an
    /// emulation that sets agent and hints alike is a perfect disguise.
    fn could_be_either(&self) -> bool {
        let emulated = self.request["scenario"].as_str().unwrap();
        self.client.starts_with("lynx")
            || self.client.starts_with("w3m")
            || emulated.contains("UA-CH metadata")
    }
}

fn captured() -> Vec<Captured> {
    let folder = corpora().join("headers");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!("this test needs the corpora: {}: {error}", folder.display())
    });
    let mut requests = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file.unwrap().path())
            .unwrap()
            .lines()
        {
            let request: Value = serde_json::from_str(line).unwrap();
            let agent = request["headers"]
                .as_array()
                .unwrap()
                .iter()
                .find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case("user-agent"))
                .map_or(String::new(), |pair| pair[1].as_str().unwrap().to_owned());
            requests.push(Captured {
                truth: request["truth"].as_str().unwrap().to_owned(),
                agent,
                client: request["client"].as_str().unwrap().to_owned(),
                request,
            });
        }
    }
    assert!(requests.len() > 700, "{} requests", requests.len());
    requests
}

/// Judges a captured request as a hit of this kind from a network on no list. The harness spoke
/// clear text to localhost, to which browsers send what they send over TLS.
fn verdict(agents: &Agents, rules: &RuleSet, kind: HitKind, captured: &Captured) -> Verdict {
    let pairs: Vec<(String, String)> = captured.request["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let name = pair[0].as_str().unwrap().to_ascii_lowercase();
            (name, pair[1].as_str().unwrap().to_owned())
        })
        .collect();
    let mut headers = Headers::default();
    for (name, value) in &pairs {
        headers.set(name, value.as_bytes());
    }
    let facts = observe(&Observed {
        kind,
        method: match captured.request["method"].as_str().unwrap() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            _ => Method::Other,
        },
        scheme: Scheme::Https,
        http: HttpVersion::Http11,
        agent: agents.classify(captured.agent.as_bytes()),
        headers: &headers,
        network: NetworkFacts::default(),
        token: TokenState::Valid,
        honeypot: false,
        one_click: false,
        passed: false,
    });
    judge(rules, kind, facts)
}

#[test]
fn captured_requests_are_judged_by_what_they_were() {
    let agents = Agents::shipped().unwrap();
    let rules = RuleSet::shipped().unwrap();
    let mut judged = 0;
    let mut wrong = Vec::new();
    for captured in captured() {
        if captured.could_be_either() {
            continue;
        }
        let automated = captured.automated();
        let (kind, right): (_, fn(Class) -> bool) = match captured.truth.as_str() {
            "prefetch" | "prerender" | "redirect-hop (prefetch)" => {
                (HitKind::Click, |class| class == Class::Prefetch)
            }
            "library" => (HitKind::Click, |class| class == Class::Bot),
            "automation-api-request" | "ping" | "beacon" | "fetch/xhr" => {
                (HitKind::Click, |class| !class.is_human())
            }
            "image" if automated => (HitKind::Open, |class| !class.is_human()),
            "image" => (HitKind::Open, Class::is_human),
            "form-post (user)" if automated => (HitKind::Press, |class| !class.is_human()),
            "form-post (user)" => (HitKind::Press, Class::is_human),
            truth if truth.starts_with("nav-") || truth == "redirect-hop" => {
                if automated {
                    (HitKind::Click, |class| !class.is_human())
                } else {
                    (HitKind::Click, Class::is_human)
                }
            }
            _ => continue,
        };
        judged += 1;
        let verdict = verdict(&agents, &rules, kind, &captured);
        if !right(verdict.class) {
            let Captured {
                truth,
                client,
                request,
                ..
            } = &captured;
            let (mode, scenario) = (&request["mode"], &request["scenario"]);
            wrong.push(format!("{client} {mode} {scenario} {truth}: {verdict:?}"));
        }
    }
    assert!(judged > 250, "only {judged} requests judged");
    assert!(wrong.is_empty(), "{} of {judged}: {wrong:#?}", wrong.len());
}

/// What the shipped rule set must do on simulated mailings: clicks kept at least, leak at most, and
/// error of the filtered count at most, per cent.
#[test]
fn simulated_mailings_are_judged_well() {
    for (stream, kept, leak, error) in [
        ("b2c", 99.3, 2.0, 2.0),
        ("b2b", 98.5, 5.0, 4.0),
        ("transactional", 98.5, 2.0, 2.0),
    ] {
        let hits = corpora().join(format!("hits/{stream}.ndjson.gz"));
        let labels = corpora().join(format!("hits/{stream}.labels.tsv"));
        let done = Command::new(env!("CARGO_BIN_EXE_cupel"))
            .args(["eval", "--json", "--labels"])
            .args([&labels, &hits])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        assert!(done.stderr.is_empty(), "every hit has a label");
        let said: Value = serde_json::from_slice(&done.stdout).unwrap();
        let percent = |of: &str| {
            said.pointer(&format!("{of}/percent"))
                .unwrap()
                .as_f64()
                .unwrap()
        };
        for (of, low, high) in [
            ("/clicks/kept", kept, 100.0),
            ("/clicks/leak", 0.0, leak),
            ("/clicks/error", -error, error),
            ("/opens/kept", 99.5, 100.0),
            ("/opens/leak", 0.0, 2.0),
        ] {
            let is = percent(of);
            assert!((low..=high).contains(&is), "{stream}{of}: {is}");
        }
        let row = row(stream, &said);
        let docs = include_str!("../../docs/judging.md");
        assert!(docs.contains(&row), "docs/judging.md wants\n{row}");
    }
}

/// What the documentation says of a stream.
fn row(stream: &str, said: &Value) -> String {
    let share = |of: &str| {
        let number = |at: &str| {
            let number = said.pointer(&format!("{of}/{at}"));
            // Without the sign of a zero.
            format!("{:.2}", number.unwrap().as_f64().unwrap()).replace("-0.00", "0.00")
        };
        let (percent, low, high) = (number("percent"), number("low"), number("high"));
        format!("{percent} ({low} to {high})")
    };
    let kind = |kind: &str| {
        let of = |what: &str| share(&format!("/{kind}/{what}"));
        let humans = &said[kind]["humans"];
        let (kept, leak, error) = (of("kept"), of("leak"), of("error"));
        format!("{humans} | {kept} | {leak} | {error}")
    };
    format!("| {stream} | {} | {} |\n", kind("clicks"), kind("opens"))
}
