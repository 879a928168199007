//! What the pages say, in each language that there is: a file under `templates/words/`, and a
//! line here. A file that lacks a text or has one too many is refused.

use serde::{Deserialize, Serialize};

/// English, for readers who ask for no language that is there.
pub(super) const DEFAULT: &str = include_str!("../../../templates/words/en.toml");

/// Every other language.
pub(super) const OTHERS: &[&str] = &[
    include_str!("../../../templates/words/de.toml"),
    include_str!("../../../templates/words/fr.toml"),
    include_str!("../../../templates/words/es.toml"),
    include_str!("../../../templates/words/it.toml"),
    include_str!("../../../templates/words/pt.toml"),
    include_str!("../../../templates/words/nl.toml"),
    include_str!("../../../templates/words/pl.toml"),
    include_str!("../../../templates/words/ar.toml"),
    include_str!("../../../templates/words/ja.toml"),
];

/// What the pages say in one language.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// BCP 47.
    pub(super) language: String,
    direction: Direction,
    leads_to: String,
    something_wrong: String,
    pub(super) root: Root,
    pub(super) not_found: Text,
    pub(super) gone: Text,
    pub(super) expired: Text,
    pub(super) ask_again: Text,
    pub(super) refused: Text,
    pub(super) try_again: Text,
    pub(super) unsubscribed: Text,
    pub(super) confirm: Button,
    pub(super) login: Button,
    pub(super) generic: Button,
    pub(super) unsubscribe: Button,
}

/// How the language is written.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Ltr,
    Rtl,
}

/// What the host says of itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    title: String,
    of_sender: String,
    of_nobody: String,
    what: String,
    recorded: String,
    pub(super) recorded_individual: String,
    pub(super) recorded_aggregate: String,
    pub(super) recorded_none: String,
    pub(super) signal_aggregate: String,
    pub(super) signal_none: String,
    questions: String,
    write_to: String,
    write_to_sender: String,
}

/// A page that only says something.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    title: String,
    paragraphs: Vec<String>,
}

/// A page with a button.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Button {
    title: String,
    text: String,
    button: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{DEFAULT, OTHERS, Words};

    fn files() -> impl Iterator<Item = &'static str> {
        std::iter::once(DEFAULT).chain(OTHERS.iter().copied())
    }

    /// Every text of a file under its path.
    fn texts(file: &str) -> BTreeMap<String, String> {
        fn walk(path: String, value: &toml::Value, all: &mut BTreeMap<String, String>) {
            match value {
                toml::Value::String(text) => {
                    all.insert(path, text.clone());
                }
                toml::Value::Array(list) => {
                    // How many paragraphs there are is the translator's own.
                    let joined: Vec<_> = list.iter().filter_map(toml::Value::as_str).collect();
                    assert!(joined.iter().all(|text| is_tidy(text)), "{path}");
                    all.insert(path, joined.join("\n"));
                }
                toml::Value::Table(table) => {
                    for (name, value) in table {
                        walk(format!("{path}.{name}"), value, all);
                    }
                }
                other => panic!("{path} is no text: {other}"),
            }
        }
        let mut all = BTreeMap::new();
        walk(
            String::new(),
            &toml::Value::Table(file.parse().unwrap()),
            &mut all,
        );
        all
    }

    fn is_tidy(text: &str) -> bool {
        !text.is_empty() && text.trim() == text && !text.contains("  ")
    }

    /// What is put into a text.
    fn placeholders(text: &str) -> Vec<&str> {
        let named = text.split('{').skip(1);
        named.map(|rest| rest.split_once('}').unwrap().0).collect()
    }

    #[test]
    fn every_language_says_everything() {
        let english = texts(DEFAULT);
        for file in files() {
            let words: Words = toml::from_str(file).unwrap();
            let language = words.language;
            let texts = texts(file);
            assert!(texts.keys().eq(english.keys()), "{language}");
            for (name, text) in &texts {
                assert!(is_tidy(text), "{language}{name}: {text:?}");
                let theirs = english.get(name).unwrap();
                assert_eq!(placeholders(text), placeholders(theirs), "{language}{name}");
                let copied = language != "en" && theirs.len() > 20 && text == theirs;
                assert!(!copied, "{language}{name} is not translated");
            }
        }
        let named = |name: &str| placeholders(english.get(name).unwrap()).join(" ");
        for (name, placeholder) in [
            (".leads_to", "host"),
            (".something_wrong", "contact"),
            (".root.of_sender", "sender"),
            (".root.write_to", "contact"),
        ] {
            assert_eq!(named(name), placeholder, "the templates put it in: {name}");
        }
    }

    #[test]
    fn every_file_is_a_language() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/words");
        let named = std::fs::read_dir(folder).unwrap().map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".toml").unwrap().to_owned()
        });
        let mut named: Vec<_> = named.collect();
        named.sort();
        let words = files().map(|file| toml::from_str::<Words>(file).unwrap());
        let mut languages: Vec<_> = words.map(|words| words.language).collect();
        languages.sort();
        assert_eq!(
            languages, named,
            "each file is named in this room, and for its language"
        );
    }

    #[test]
    fn a_file_that_lacks_a_text_is_refused() {
        let english = DEFAULT;
        for (from, to) in [
            ("button = \"Confirm\"\n", ""),
            ("[gone]", "[gonne]"),
            ("[gone]", "[gone]\nmore = \"x\""),
            ("direction = \"ltr\"", "direction = \"up\""),
        ] {
            assert!(english.contains(from));
            let broken = english.replacen(from, to, 1);
            assert!(toml::from_str::<Words>(&broken).is_err(), "{from} → {to}");
        }
    }
}
