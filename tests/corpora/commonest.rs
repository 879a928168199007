//! The commonest header sets of captured requests: those with the same names and agent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Names and values, as they were sent.
pub(crate) type HeaderSet = Vec<(String, Vec<u8>)>;

/// So many of the commonest header sets among the captures of a folder: JSON objects, one a line.
pub(crate) fn commonest(folder: &Path, most: usize) -> Vec<HeaderSet> {
    let mut sets: BTreeMap<(Vec<String>, Vec<u8>), (usize, HeaderSet)> = BTreeMap::new();
    let files = fs::read_dir(folder).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    for line in texts
        .collect::<Vec<_>>()
        .iter()
        .flat_map(|text| text.lines())
    {
        let captured: Value = serde_json::from_str(line).unwrap();
        let headers = captured.get("headers").and_then(Value::as_array).unwrap();
        let set: HeaderSet = headers
            .iter()
            .map(|header| {
                let text = |at: usize| header.get(at).and_then(Value::as_str).unwrap();
                (text(0).to_lowercase(), text(1).as_bytes().to_vec())
            })
            .collect();
        let names = set.iter().map(|(name, _)| name.clone()).collect();
        let agent = set.iter().find(|(name, _)| name == "user-agent");
        let agent = agent.map(|(_, value)| value.clone()).unwrap_or_default();
        sets.entry((names, agent)).or_insert((0, set)).0 += 1;
    }
    let mut sets: Vec<_> = sets.into_values().collect();
    sets.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    sets.into_iter().take(most).map(|(_, set)| set).collect()
}
