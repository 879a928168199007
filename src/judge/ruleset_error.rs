//! What is wrong with a rule set, and on which line.

/// Why a rule set is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RuleSetError {
    /// The text is not TOML of the right shape.
    #[error("rule set, line {line} ({text}): {what}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        what: String,
    },
    /// Something is not there at all.
    #[error("rule set: {0}")]
    Lacks(String),
    /// A value is out of its bounds.
    #[error("rule set, line {line}, {key}: {what}")]
    Value {
        /// Line, from 1.
        line: usize,
        /// Key at fault.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A signal has no weight.
    #[error("rule set, [weights]: no weight for {0:?}")]
    Missing(&'static str),
}

/// The error for the value at byte `at` of the text.
pub(super) fn value_error(
    text: &str,
    at: usize,
    key: &str,
    what: impl Into<String>,
) -> RuleSetError {
    RuleSetError::Value {
        line: line_of(text, at),
        key: key.to_owned(),
        what: what.into(),
    }
}

/// The error for what a parser says.
pub(super) fn form_error(text: &str, error: &toml::de::Error) -> RuleSetError {
    let what = error.message().trim_end().replace('\n', ", ");
    if what.starts_with("missing field") && error.span().is_none_or(|span| span.start == 0) {
        return RuleSetError::Lacks(what);
    }
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let there = text.lines().nth(line - 1).unwrap_or_default().trim();
    RuleSetError::Form {
        line,
        text: there.chars().take(60).collect(),
        what,
    }
}

/// The line, from 1, of the byte at `at`.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
