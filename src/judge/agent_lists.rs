//! The user-agent lists under `geoip/agents`, compiled in: their form and their order.
//!
//! Owns: reading the lists. Refuses: matching (`agent`).
//!
//! Lists are asked in order and the first that knows an agent wins: `mail` (what matters to
//! mail), `crawlers` (named robots), `people` (in-app browsers), `generic` (words and shapes).

use super::agent::AgentKind;

/// One list: its name in errors, its text, and whether the case of its patterns counts.
struct List {
    name: &'static str,
    text: &'static str,
    exact_case: bool,
}

const LISTS: [List; 4] = [
    List {
        name: "mail.txt",
        text: include_str!("../../geoip/agents/mail.txt"),
        exact_case: false,
    },
    List {
        name: "crawlers.txt",
        text: include_str!("../../geoip/agents/crawlers.txt"),
        exact_case: true,
    },
    List {
        name: "people.txt",
        text: include_str!("../../geoip/agents/people.txt"),
        exact_case: false,
    },
    List {
        name: "generic.txt",
        text: include_str!("../../geoip/agents/generic.txt"),
        exact_case: false,
    },
];
const CURRENT_CHROME: &str = include_str!("../../geoip/agents/current.txt");

/// Why the agent lists cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentListError {
    /// A line is not of the form that the lists' README describes.
    #[error("agent list {list}, line {line}: {what}")]
    Line {
        /// File of the list.
        list: &'static str,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The literals cannot be compiled.
    #[error("agent lists: {0}")]
    Literals(#[from] aho_corasick::BuildError),
    /// The expressions cannot be compiled.
    #[error("agent lists: {0}")]
    Expressions(#[from] regex::Error),
}

/// Where in its agent a literal must stand, and what it then means.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) kind: AgentKind,
    /// Place of its section among all sections of all lists; the lowest that matches wins.
    pub(super) rank: u16,
    at_start: bool,
    at_end: bool,
    /// The bytes in the case they must have, where the list says that case counts.
    exact: Option<&'static [u8]>,
}

impl Mark {
    /// Whether the literal, found between `start` and `end`, stands where it must.
    pub(super) fn holds(&self, agent: &[u8], start: usize, end: usize) -> bool {
        (!self.at_start || start == 0)
            && (!self.at_end || end == agent.len())
            && self
                .exact
                .is_none_or(|text| agent.get(start..end) == Some(text))
    }
}

/// Major version of the Chrome that was current when the lists were made.
pub(super) fn current_chrome() -> Result<u16, AgentListError> {
    let number = CURRENT_CHROME
        .lines()
        .find(|line| !line.starts_with('#'))
        .and_then(|line| line.trim().parse().ok());
    number.ok_or(AgentListError::Line {
        list: "current.txt",
        line: 1,
        what: "no version number",
    })
}

/// The patterns of all lists, before they are compiled.
#[derive(Default)]
pub(super) struct Patterns {
    pub(super) literals: Vec<&'static str>,
    pub(super) marks: Vec<Mark>,
    pub(super) expressions: Vec<&'static str>,
    pub(super) expression_marks: Vec<(AgentKind, u16)>,
    rank: u16,
}

impl Patterns {
    /// Reads the lists that are shipped.
    pub(super) fn shipped() -> Result<Self, AgentListError> {
        let mut patterns = Self::default();
        for list in &LISTS {
            patterns.read(list)?;
        }
        Ok(patterns)
    }

    fn read(&mut self, list: &List) -> Result<(), AgentListError> {
        let mut kind = None;
        for (index, line) in list.text.lines().enumerate() {
            let wrong = |what| AgentListError::Line {
                list: list.name,
                line: index + 1,
                what,
            };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').unwrap_or(name);
                kind = Some(AgentKind::from_name(name).ok_or_else(|| wrong("no such kind"))?);
                self.rank += 1;
                continue;
            }
            let kind = kind.ok_or_else(|| wrong("a pattern before the first section"))?;
            match line.strip_prefix('~') {
                Some(expression) => {
                    self.expressions.push(expression);
                    self.expression_marks.push((kind, self.rank));
                }
                None => self.literal(kind, line, list.exact_case),
            }
        }
        Ok(())
    }

    fn literal(&mut self, kind: AgentKind, line: &'static str, exact_case: bool) {
        let text = line.strip_prefix('^').unwrap_or(line);
        let at_start = text.len() < line.len();
        let word = text.strip_suffix('$').unwrap_or(text);
        self.literals.push(word);
        self.marks.push(Mark {
            kind,
            rank: self.rank,
            at_start,
            at_end: word.len() < text.len(),
            exact: exact_case.then_some(word.as_bytes()),
        });
    }
}
