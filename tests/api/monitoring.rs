//! What ships for Prometheus and Grafana: alerts that fire, and names that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Server;
use crate::metrics::{SOMETIMES, declared, promtool, scrape};

const RULES: &str = "contrib/prometheus/cupel.rules.yml";
const RULES_TESTS: &str = "contrib/prometheus/cupel.rules.test.yml";
const DASHBOARD: &str = "contrib/grafana/cupel.json";

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Values of a key of YAML, where it stands alone on its line.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(key))
        .map(str::trim)
        .collect()
}

fn alerts() -> Vec<String> {
    let text = text(RULES);
    let names: Vec<_> = values(&text, "alert:")
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert!(names.len() >= 15, "{names:?}");
    names
}

/// Names of metrics in queries.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("cupel_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// Fails if a query names a metric that a server does not export.
fn assert_there(server: &Server, queries: &str) {
    let exported = scrape(server);
    let declared = declared(&exported);
    let named = metrics(queries);
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|base| declared.get(base) == Some(&"histogram"));
        let there = declared.contains_key(base.unwrap_or(&name));
        assert!(
            there || SOMETIMES.contains(&name.as_str()),
            "no {name} in\n{exported}"
        );
    }
}

#[test]
fn alerts_are_well_formed_and_fire_when_they_should_and_only_then() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", RULES], "");
    promtool(&["test", "rules", RULES_TESTS], "");
    let tests = text(RULES_TESTS);
    for alert in alerts() {
        let fires = format!("- labels: '{{alertname=\"{alert}\"}}'");
        assert!(
            tests.contains(&fires),
            "no test in {RULES_TESTS} that {alert} fires"
        );
    }
    // One that counts every alert, on a server that is well; each metric of an alert is in it.
    let (_, well) = tests.split_once("- name: 'well:").unwrap();
    let (well, _) = well.split_once("- name:").unwrap();
    assert!(well.contains("exp_samples: []"), "{well}");
    let missing: Vec<_> = metrics(&text(RULES))
        .difference(&metrics(well))
        .cloned()
        .collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are not among the series of a server that is well"
    );
}

#[test]
fn every_alert_says_how_bad_it_is_and_leads_to_what_to_do() {
    let rules = text(RULES);
    let names = alerts();
    for key in ["summary:", "description:", "runbook:"] {
        assert_eq!(values(&rules, key).len(), names.len(), "{key}");
    }
    for severity in values(&rules, "labels:") {
        let known = ["{severity: critical}", "{severity: warning}"];
        assert!(known.contains(&severity), "{severity}");
    }
    let operations = text("docs/operations.md");
    let (_, chapter) = operations.split_once("\n## Alerts\n").unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let headings: Vec<_> = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    assert_eq!(
        headings, names,
        "docs/operations.md has a chapter for each alert, in their order"
    );
    for (name, runbook) in names.iter().zip(values(&rules, "runbook:")) {
        assert_eq!(
            runbook,
            format!("docs/operations.md#{}", name.to_lowercase())
        );
    }
}

#[test]
fn every_metric_of_alerts_and_panels_is_exported() {
    let server = Server::new();
    assert_there(&server, &text(RULES));
    let mut queries = String::new();
    for panel in panels() {
        for target in panel["targets"].as_array().unwrap() {
            queries += target["expr"].as_str().unwrap();
            queries += "\n";
        }
    }
    assert_there(&server, &queries);
}

fn dashboard() -> Value {
    serde_json::from_str(&text(DASHBOARD)).unwrap()
}

/// Panels that draw something.
fn panels() -> Vec<Value> {
    let all = dashboard()["panels"].as_array().unwrap().clone();
    all.into_iter()
        .filter(|panel| panel["type"] != "row")
        .collect()
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    assert_eq!(
        (&dashboard["id"], &dashboard["title"]),
        (&Value::Null, &"Cupel".into())
    );
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables
        .iter()
        .find(|variable| variable["type"] == "datasource")
        .unwrap();
    assert_eq!(
        (&source["name"], &source["query"]),
        (&"datasource".into(), &"prometheus".into())
    );
    for variable in variables
        .iter()
        .filter(|variable| variable["type"] == "query")
    {
        assert_eq!(variable["datasource"]["uid"], "${datasource}");
    }
    let rows = dashboard["panels"].as_array().unwrap();
    let titles: Vec<_> = rows.iter().filter(|row| row["type"] == "row").collect();
    let titles: Vec<_> = titles
        .iter()
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        ["Readers", "Journal", "Settling", "Store", "Process", "API"]
    );
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in rows {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = &panel["gridPos"];
        let (x, y, w) = (&at["x"], &at["y"], at["w"].as_u64().unwrap());
        assert!(
            places.insert((x.as_u64(), y.as_u64())),
            "one over another: {panel}"
        );
        assert!(x.as_u64().unwrap() + w <= 24, "{panel}");
    }
    for panel in panels() {
        let title = panel["title"].as_str().unwrap();
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title} has no unit"
        );
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title}"
        );
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            assert!(
                query.contains("instance=~\"$instance\""),
                "{title}: {query}"
            );
        }
    }
}

/// Queries are read by Prometheus' own parser: each as the rule of a made-up alert.
#[test]
fn every_query_of_the_dashboard_is_promql() {
    let mut rules = "groups:\n  - name: panels\n    rules:\n".to_owned();
    let mut count = 0;
    for panel in panels() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "5m")
                .replace("$instance", ".*");
            let query = Value::from(query);
            rules += &format!("      - record: panel:query{count}\n        expr: {query}\n");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yml");
    fs::write(&file, rules).unwrap();
    promtool(
        &["check", "rules", "--lint=none", file.to_str().unwrap()],
        "",
    );
}
