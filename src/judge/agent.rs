//! User agents: what kind of client a string names, and what it claims to be.
//!
//! Owns: matching an agent against the lists. Refuses: weights. A kind is a fact; what it is
//! worth stands in the rule set, and differs between opens and clicks.

use aho_corasick::AhoCorasick;
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::RuleSet;
pub use super::agent_lists::AgentListError;
use super::agent_lists::{Mark, Patterns, current_chrome};
use super::claims::{ClaimReader, Claims, Engine};
use crate::domain::coded_enum;

coded_enum! {
    /// Kind of client that a user agent names.
    pub enum AgentKind {
        /// A browser, or something built like one.
        Browser = 1 => "browser",
        /// An app's own agent (CFNetwork, Dalvik, ...): says nothing.
        App = 2 => "app",
        /// A mail client: a person's.
        MailClient = 3 => "mail_client",
        /// A mailbox provider's image proxy: a person behind it on opens, a machine on clicks.
        ImageProxy = 4 => "image_proxy",
        /// Gmail's prefetch of an open session.
        PrefetchGmail = 5 => "prefetch_gmail",
        /// Apple Mail Privacy Protection: `Mozilla/5.0` and nothing else.
        PrefetchApple = 6 => "prefetch_apple",
        /// A link previewer of a chat or network.
        Previewer = 7 => "previewer",
        /// A robot that says so.
        DeclaredBot = 8 => "declared_bot",
        /// An HTTP library or command.
        Library = 9 => "library",
        /// A browser without a screen, or under automation.
        Headless = 10 => "headless",
        /// A security scanner that says so.
        SecurityScanner = 11 => "security_scanner",
        /// No agent at all.
        Empty = 12 => "empty",
        /// A shape that no browser has.
        Other = 13 => "other",
    }
}

/// What the lists and the string itself say of a user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentFacts {
    /// Kind of client.
    pub kind: AgentKind,
    /// What it claims, if it is shaped like a browser.
    pub claims: Claims,
    /// Chromium so old that hardly a person uses it (see `STALE_CHROME_MAJORS`).
    pub stale: bool,
}

/// How many major versions behind the current Chrome is stale. Of people's browsing, 0.2 % is
/// older than 24 versions (SIGNALS 5.4, measured).
const STALE_CHROME_MAJORS: u16 = 25;

/// The compiled lists.
#[derive(Debug)]
pub struct Agents {
    literals: AhoCorasick,
    marks: Vec<Mark>,
    expressions: RegexSet,
    expression_marks: Vec<(AgentKind, u16)>,
    claims: ClaimReader,
    stale_below: u16,
}

impl Agents {
    /// Compiles the lists that are shipped.
    ///
    /// # Errors
    /// If a list breaks the form of its lines or a pattern does not compile.
    pub fn shipped() -> Result<Self, AgentListError> {
        let patterns = Patterns::shipped()?;
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&patterns.literals)?;
        let expressions = RegexSetBuilder::new(&patterns.expressions)
            .unicode(false)
            .case_insensitive(true)
            .build()?;
        Ok(Self {
            literals,
            marks: patterns.marks,
            expressions,
            expression_marks: patterns.expression_marks,
            claims: ClaimReader::new()?,
            stale_below: current_chrome()?.saturating_sub(STALE_CHROME_MAJORS),
        })
    }

    /// What a user agent is, by the lists that are shipped.
    #[must_use]
    pub fn classify(&self, agent: &[u8]) -> AgentFacts {
        let agent = head(agent);
        let claims = self.claims.read(agent);
        let kind = match agent {
            b"" | b"-" => AgentKind::Empty,
            _ => self.kind(agent).unwrap_or_else(|| shape(agent)),
        };
        let stale = claims.engine == Engine::Chromium
            && claims.major < self.stale_below
            && !claims.embedded;
        AgentFacts {
            kind,
            claims,
            stale,
        }
    }

    /// What a user agent is to a rule set, which may have agents of its own.
    #[must_use]
    pub fn classify_for(&self, rules: &RuleSet, agent: &[u8]) -> AgentFacts {
        let facts = self.classify(agent);
        let kind = rules.own().agent(head(agent)).unwrap_or(facts.kind);
        AgentFacts { kind, ..facts }
    }

    /// The kind that the first list says, if any knows the agent.
    fn kind(&self, agent: &[u8]) -> Option<AgentKind> {
        let literal = self
            .literals
            .find_overlapping_iter(agent)
            .filter_map(|found| {
                let mark = self.marks.get(found.pattern().as_usize())?;
                mark.holds(agent, found.start(), found.end())
                    .then_some(mark)
            })
            .map(|mark| (mark.rank, mark.kind))
            .min_by_key(|(rank, _)| *rank);
        // Expressions cost more than the literals and stand only in the last sections.
        let first = self.expression_marks.first().map_or(0, |(_, rank)| *rank);
        if literal.is_some_and(|(rank, _)| rank <= first) {
            return literal.map(|(_, kind)| kind);
        }
        let expression = self
            .expressions
            .matches(agent)
            .iter()
            .filter_map(|index| self.expression_marks.get(index))
            .map(|(kind, rank)| (*rank, *kind))
            .min_by_key(|(rank, _)| *rank);
        [literal, expression]
            .into_iter()
            .flatten()
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, kind)| kind)
    }
}

/// What is read of an agent: its first 1,024 bytes, for no browser's is longer.
fn head(agent: &[u8]) -> &[u8] {
    let agent = agent.trim_ascii();
    agent.get(..1024).unwrap_or(agent)
}

/// An agent that no list knows is a browser or an app, by its first word.
fn shape(agent: &[u8]) -> AgentKind {
    let begins = |word: &[u8]| {
        agent
            .get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    if begins(b"mozilla/") || begins(b"opera/") {
        AgentKind::Browser
    } else {
        AgentKind::App
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_clients_that_matter() {
        let agents = Agents::shipped().unwrap();
        let desktop = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                       Gecko) Chrome/153.0.0.0 Safari/537.36";
        let gmail = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                     Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246";
        for (agent, kind) in [
            ("", AgentKind::Empty),
            (" - ", AgentKind::Empty),
            ("Mozilla/5.0", AgentKind::PrefetchApple),
            (desktop, AgentKind::Browser),
            (gmail, AgentKind::Browser),
            (&format!("{gmail} Mozilla/5.0"), AgentKind::PrefetchGmail),
            (
                &format!("{desktop} OneOutlook/1.2023.927.100"),
                AgentKind::MailClient,
            ),
            (
                &format!("{desktop} (compatible; Google-Safety)"),
                AgentKind::SecurityScanner,
            ),
            (
                &desktop.replace("Chrome/", "HeadlessChrome/"),
                AgentKind::Headless,
            ),
            (
                "Mozilla/5.0 (via ggpht.com GoogleImageProxy)",
                AgentKind::ImageProxy,
            ),
            (
                "Mozilla/5.0 (compatible; Mail.RU_Bot/Img/2.0)",
                AgentKind::ImageProxy,
            ),
            (
                "Mozilla/5.0 (compatible; Linux; Mail.RU_Bot/2.0)",
                AgentKind::DeclaredBot,
            ),
            ("barracuda sentinel (EE)", AgentKind::SecurityScanner),
            (
                "Mozilla/5.0 (X11) Gecko/1 Thunderbird/60.6 Lightning/6.2",
                AgentKind::MailClient,
            ),
            ("curl/8.5.0", AgentKind::Library),
            ("WhatsApp/2.23.20.0", AgentKind::Previewer),
            (
                "Mozilla/5.0 (iPhone) AppleWebKit/605 Mobile/1 [LinkedInApp]",
                AgentKind::Browser,
            ),
            (
                "LinkedInBot/1.0 (compatible; Mozilla/5.0)",
                AgentKind::Previewer,
            ),
            (
                "ExampleApp/1 Dalvik/2.1.0 (Linux; U; Android 6.0.1)",
                AgentKind::App,
            ),
            ("x".repeat(60).as_str(), AgentKind::Other),
        ] {
            assert_eq!(agents.classify(agent.as_bytes()).kind, kind, "{agent}");
        }
    }

    #[test]
    fn hostile_agents_are_read_without_harm() {
        let agents = Agents::shipped().unwrap();
        let long = b"Mozilla/5.0 Chrome/".repeat(10_000);
        assert_eq!(agents.classify(&long).kind, AgentKind::Browser);
        assert_eq!(
            agents.classify(b"\xff\xfe\x00 Mozilla").kind,
            AgentKind::App
        );
    }

    #[test]
    fn a_chrome_of_long_ago_is_stale() {
        let agents = Agents::shipped().unwrap();
        for (version, stale) in [
            ("57.0.2987.133", true),
            ("128.0.0.0", true),
            ("130.0.0.0", false),
        ] {
            let agent = format!("Mozilla/5.0 (Windows NT 6.1) Chrome/{version} Safari/537.36");
            assert_eq!(agents.classify(agent.as_bytes()).stale, stale, "{version}");
        }
    }
}
