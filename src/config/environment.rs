//! Keys in the environment: `CUPEL_KEY`, `CUPEL_SECTION__KEY`, and the same with `_FILE`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::reference::{keys, nearest};
use super::setting::{Origin, Problem, Setting, Written};

/// Variables that begin like ours, name to value.
pub(super) type Variables = BTreeMap<String, OsString>;

/// Variables of ours that are no keys: what commands and the system use.
const OTHERS: &[&str] = &[
    "CUPEL_CONFIG",
    "CUPEL_SERVER",
    "CUPEL_KEY_FILE",
    "CUPEL_CA_FILE",
];

/// The process's own.
pub(super) fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("CUPEL_"))
        .collect()
}

/// Names of the sockets that systemd passes, in their order.
pub(super) fn passed_socket_names() -> Vec<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that reads the environment"
    )]
    let names = std::env::var_os("LISTEN_FDNAMES").and_then(|names| names.into_string().ok());
    let names = names.unwrap_or_default();
    names.split(':').map(str::to_owned).collect()
}

/// What is set by them. A variable that is empty is as good as none: compose files write such.
pub(super) fn read(variables: &Variables, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut ours = Vec::new();
    for key in keys() {
        let variable = key.variable();
        let by_file = format!("{variable}_FILE");
        let filled = |name: &str| filled(variables, name);
        if let Some(path) = filled(&by_file) {
            let file = PathBuf::from(path);
            match std::fs::read_to_string(&file) {
                Ok(text) => settings.push(Setting {
                    key: key.name.clone(),
                    written: Written::One(text.trim_end().to_owned()),
                    origin: Origin::VariableFile {
                        variable: by_file.clone(),
                        file,
                    },
                }),
                Err(why) => {
                    let what = format!("cannot read {}: {why}", file.display());
                    let origin = Origin::Variable(by_file.clone());
                    problems.push(Problem::new(origin, &key.name, what));
                }
            }
        }
        if let Some(value) = filled(&variable) {
            let origin = Origin::Variable(variable.clone());
            match value.to_str() {
                Some(value) => settings.push(Setting {
                    key: key.name.clone(),
                    written: Written::One(value.to_owned()),
                    origin,
                }),
                None => problems.push(Problem::new(origin, &key.name, "is not UTF-8")),
            }
            if filled(&by_file).is_some() {
                let what = format!("{by_file} is set too; take one of them away");
                let origin = Origin::Variable(variable.clone());
                problems.push(Problem::new(origin, &key.name, what));
            }
        }
        ours.extend([variable, by_file]);
    }
    let strange = variables
        .keys()
        .filter(|name| !OTHERS.contains(&name.as_str()) && !ours.contains(name));
    problems.extend(strange.filter_map(|name| unknown(name)));
    settings
}

/// The data directory that the environment names.
pub(super) fn data(variables: &Variables) -> Option<PathBuf> {
    let named = filled(variables, "CUPEL_DATA").map(PathBuf::from);
    named.or_else(|| {
        let file = filled(variables, "CUPEL_DATA_FILE")?;
        let text = std::fs::read_to_string(file).ok()?;
        Some(PathBuf::from(text.trim_end()))
    })
}

fn filled<'a>(variables: &'a Variables, name: &str) -> Option<&'a OsStr> {
    let value = variables.get(name).filter(|value| !value.is_empty());
    value.map(OsString::as_os_str)
}

/// A variable that sets nothing and was meant to. Others that begin like ours may be somebody
/// else's: Kubernetes makes `CUPEL_SERVICE_HOST` and the like for a service of that name.
fn unknown(variable: &str) -> Option<Problem> {
    let written = variable.strip_prefix("CUPEL_")?.to_ascii_lowercase();
    let written = written.replace("__", ".");
    let meant = nearest(written.trim_end_matches("_file"));
    if meant.is_none() && !written.contains('.') {
        return None;
    }
    let origin = Origin::Variable(variable.to_owned());
    let what = match meant {
        Some(key) => format!("sets nothing; did you mean {}?", key.variable()),
        None => "sets nothing; `cupel config docs` lists the keys".to_owned(),
    };
    Some(Problem::new(origin, "", what))
}
