//! What is a rule set, and what is refused.

use super::*;

/// What is changed in the shipped one, into what, and what is said of it.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "\"ua.empty\"",
        "\"ua.emtpy\"",
        "line 50, ua.emtpy: no such signal",
    ),
    ("\"ua.headless\" = 6.0", "", "no weight for \"ua.headless\""),
    (
        "\"ua.headless\" = 6.0",
        "\"ua.headless\" = nan",
        "ua.headless: not a finite",
    ),
    (
        "machine_min = 80.0",
        "machine_min = 40.0",
        "line 11, machine_min: below human_max",
    ),
    (
        "human_max = 50.0",
        "human_max = -1",
        "human_max: not between",
    ),
    (
        "human_max = 50.0",
        "human_max = \"x\"",
        "line 10 (human_max = \"x\"): invalid type",
    ),
    (
        "version = 3",
        "version = 3\nverison = 2",
        "line 8 (verison = 2): unknown field",
    ),
    ("name = \"default\"", "name = \"\"", "line 6, name"),
    (
        "human_max = 50.0",
        "",
        "rule set: missing field `human_max`",
    ),
    (
        "window_seconds = 60",
        "window_seconds = 4000",
        "window_seconds: more than 3600",
    ),
    (
        "open = -2.0\nclick = -2.0",
        "open = inf\nclick = 0",
        "prior: not a finite number",
    ),
    (
        "\"ua.headless\" = 6.0",
        "\"ua.headless\" = {}",
        "open and click",
    ),
    (
        "rapid_seconds = 5\n",
        "",
        "rule set: no rapid_seconds in [windows]",
    ),
    (
        "sweep_seconds = 900",
        "sweep_seconds = 90000",
        "line 27, sweep_seconds: more than a day",
    ),
    (
        "[networks]",
        "[networks]\nhome = []",
        "line 106, home: no such list; there are email_security, ",
    ),
    (
        "[networks]",
        "[networks]\ncdn = [\n\"192.0.2.1/24\"]",
        "line 107, 192.0.2.1/24: 192.0.2.1/24 has host bits",
    ),
    (
        "[networks]",
        "[networks]\nhosting = [\"AS8075\"]",
        "AS8075: AS8075 must not be called hosting",
    ),
    (
        "[agents]",
        "[agents]\nempty = [\"Foo/1\"]",
        "no such kind of client; there are browser,",
    ),
    (
        "[agents]",
        "[agents]\nbrowser = ['Foo/1']\nlibrary = ['foo/1']",
        "is there already",
    ),
    (
        "[networks]",
        "[networks]\nhosting = ['AS+1']",
        "no AS number such as AS64500",
    ),
    (
        "[networks]",
        "[networks]\nhosting = ['as4294967296']",
        "no AS number such as AS64500",
    ),
    (
        "[agents]",
        "[agents]\nbrowser = [\" x \"]",
        "shorter than 4",
    ),
];

#[test]
fn the_shipped_rule_set_is_whole() {
    let rules = RuleSet::shipped().unwrap();
    assert_eq!((rules.name(), rules.version()), ("default", 3));
    assert!(rules.human_max() < rules.machine_min());
}

#[test]
fn a_fault_is_refused_with_line_and_key() {
    for (from, to, message) in FAULTS {
        assert!(DEFAULT.contains(*from), "{from}");
        let error = RuleSet::parse(&DEFAULT.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(message), "{to}: {error}");
    }
}

#[test]
fn a_signal_that_is_newer_than_a_kept_rule_set_weighs_nothing_in_it() {
    let older = DEFAULT.replace("\"ua.headless\" = 6.0\n", "");
    let (before, rest) = older.split_once("[windows]").unwrap();
    let (_, after) = rest.split_once("[prior]").unwrap();
    let older = format!("{before}[prior]{after}");
    assert!(RuleSet::parse(&older).is_err());
    let kept = RuleSet::kept(&older).unwrap();
    let headless = by_name("ua.headless").unwrap();
    assert_eq!(kept.weight(HitKind::Click, headless), 0.0);
    assert_eq!(kept.id(), RuleSetId::of(&older));
    assert_eq!(kept.windows(), RuleSet::shipped().unwrap().windows());
    assert!(RuleSet::kept(&DEFAULT.replace("ua.headless", "ua.heedless")).is_err());
}

#[test]
fn kinds_that_are_not_named_count_as_clicks() {
    let text = DEFAULT.replace(
        "\"ua.empty\" = { open = 2.5, click = 5.0 }",
        "\"ua.empty\" = { open = 2, click = 5, press = 1 }",
    );
    let rules = RuleSet::parse(&text).unwrap();
    let weight = |kind| rules.scope(kind).weights[16];
    assert_eq!(
        HitKind::ALL.iter().map(|kind| weight(*kind)).sum::<f64>(),
        18.0
    );
    assert_eq!(weight(HitKind::Press), 1.0);
}
