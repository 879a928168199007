//! The keys that there are: read from `cupel.example.toml`, which is their one description.

use std::path::Path;
use std::sync::LazyLock;

use super::EXAMPLE;
use super::file;
use super::setting::{Origin, Written};

/// A key of the configuration.
#[derive(Clone, Debug)]
pub struct Key {
    /// Name, such as `journal.keep_hours`.
    pub name: String,
    /// What it does, with unit and reason.
    pub text: String,
    /// Value as the file shows it, in TOML: the default, or an example where there is none.
    pub shown: String,
    /// Whether it takes force without a restart.
    pub reloaded: bool,
    pub(super) default: Option<Written>,
}

impl Key {
    /// Whether the value shown is the default, and not an example.
    #[must_use]
    pub const fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = self.name.replace('.', "__");
        format!("CUPEL_{}", name.to_ascii_uppercase())
    }
}

/// Marks a value that is shown and is not the default.
const FOR_EXAMPLE: &str = "# for example";

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| read(EXAMPLE));

/// Every key, in the order of the file.
#[must_use]
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// The key of this name.
pub(super) fn key(name: &str) -> Option<&'static Key> {
    keys().iter().find(|key| key.name == name)
}

/// The key that somebody meant who wrote `name`.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let parts = |name: &str| {
        let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
        (section.to_owned(), last.to_owned())
    };
    let (section, last) = parts(name);
    let distance = |key: &Key| {
        let (its_section, its_last) = parts(&key.name);
        let mut distance = strsim::damerau_levenshtein(&key.name, name);
        if its_last == last {
            // The right key in the wrong section, or in none.
            distance = 1;
        } else if its_last.starts_with(&format!("{last}_")) {
            // The unit was left out: `keep` for `keep_hours`.
            distance = distance.min(2);
        }
        (distance, its_section != section)
    };
    let best = keys().iter().min_by_key(|key| distance(key))?;
    (distance(best).0 <= name.len() / 3).then_some(best)
}

/// The example with every key spelled out: a configuration file.
pub(super) fn spelled_out(example: &str) -> String {
    let lines = example.lines().map(|line| match written_key(line) {
        Some((line, _)) => line,
        None => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// A line `# key = value`, without its mark, and the value.
fn written_key(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("# ")?;
    let (name, value) = line.split_once(" = ")?;
    let named = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    named.then_some((line, value))
}

fn read(example: &str) -> Vec<Key> {
    let lines: Vec<_> = example.lines().collect();
    let mut problems = Vec::new();
    let settings = file::parse(
        Path::new("cupel.example.toml"),
        &spelled_out(example),
        &mut problems,
    );
    debug_assert!(problems.is_empty(), "{problems:?}");
    let mut keys: Vec<Key> = Vec::new();
    for setting in settings {
        let Origin::File { line, .. } = setting.origin else {
            continue;
        };
        let shown = lines.get(line - 1).and_then(|line| written_key(line));
        let (_, shown) = shown.unwrap_or_default();
        let example = shown.strip_suffix(FOR_EXAMPLE);
        let mut text = text_above(&lines, line - 1);
        if text.is_empty() {
            // The second of a pair.
            text = keys.last().map(|key| key.text.clone()).unwrap_or_default();
        }
        keys.push(Key {
            name: setting.key,
            reloaded: text.ends_with("Reloaded."),
            text,
            shown: example.unwrap_or(shown).trim_end().to_owned(),
            default: example.is_none().then_some(setting.written),
        });
    }
    keys
}

/// The comment that ends above a line.
fn text_above(lines: &[&str], line: usize) -> String {
    let above = lines.get(..line).unwrap_or_default();
    let comment: Vec<_> = above
        .iter()
        .rev()
        .map_while(|line| {
            line.strip_prefix("# ")
                .filter(|_| written_key(line).is_none())
        })
        .collect();
    comment.into_iter().rev().collect::<Vec<_>>().join(" ")
}
