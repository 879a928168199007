//! What configurations say, and what is said of wrong ones.

use std::path::PathBuf;

use super::environment::Variables;
use super::reference::spelled_out;
use super::*;

/// A configuration of this file, these flags and these variables.
fn load(text: &str, flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cupel.toml");
    std::fs::write(&file, text).unwrap();
    let flags = Flags {
        config: Some(file),
        set: flags.iter().map(|&flag| flag.to_owned()).collect(),
        ..Flags::default()
    };
    let variables: Variables = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.into()))
        .collect();
    Config::from(&flags, &variables)
}

fn value(config: &Config, key: &str) -> Option<String> {
    let found = config.values.iter().find(|value| value.key == key);
    found.unwrap().value.clone()
}

#[test]
fn the_example_describes_every_key_and_its_defaults_are_in_force() {
    assert!(keys().len() > 40);
    let config = load("", &[], &[]).unwrap();
    for key in keys() {
        assert!(key.text.len() > 4, "{} is not described", key.name);
        let value = value(&config, &key.name);
        assert_eq!(value.is_some(), key.has_default(), "{}", key.name);
        if key.has_default() {
            assert_eq!(value.as_deref(), Some(key.shown.as_str()), "{}", key.name);
        }
    }
    let spelled_out = load(
        &spelled_out(EXAMPLE).replace("/etc/cupel", "/nowhere"),
        &[],
        &[],
    );
    // Everything but the files that it names, and ACME, which is at odds with a certificate.
    for problem in spelled_out.unwrap_err().0 {
        let absent = problem.what.starts_with("cannot read /nowhere/");
        let otlp = !cfg!(feature = "otlp") && problem.key == "log.otlp_endpoint";
        assert!(absent || otlp, "{problem}");
    }
    let mut journal = crate::journal::JournalOptions::default();
    journal.rings = config.journal.rings;
    assert_eq!(format!("{:?}", config.journal), format!("{journal:?}"));
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_a_file() {
    const KEY: &str = "journal.keep_hours";
    let file = "[journal]\nkeep_hours = 1";
    let kept = |flags: &[&str], variables: &[(&str, &str)]| {
        let config = load(file, flags, variables).unwrap();
        let value = config
            .values
            .into_iter()
            .find(|value| value.key == KEY)
            .unwrap();
        (
            value.value.unwrap(),
            value.origin.to_string(),
            config.journal.keep.as_secs() / 3_600,
        )
    };
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "3h\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let (value, origin, hours) = kept(&[], &[]);
    assert_eq!((value.as_str(), hours), ("1", 1));
    assert!(origin.ends_with("cupel.toml:2"), "{origin}");
    assert_eq!(
        kept(&[], &[("CUPEL_JOURNAL__KEEP_HOURS_FILE", path)]),
        (
            "\"3h\"".to_owned(),
            format!("CUPEL_JOURNAL__KEEP_HOURS_FILE={path}"),
            3
        )
    );
    let variable = ("CUPEL_JOURNAL__KEEP_HOURS", "4");
    assert_eq!(
        kept(&[], &[variable]),
        ("4".to_owned(), "CUPEL_JOURNAL__KEEP_HOURS".to_owned(), 4)
    );
    assert_eq!(
        kept(&["journal.keep_hours=5"], &[variable]),
        ("5".to_owned(), "--set".to_owned(), 5)
    );
    // Empty is as good as none.
    assert_eq!(kept(&[], &[("CUPEL_JOURNAL__KEEP_HOURS", "")]).0, "1");
    let lists = load(
        "",
        &[],
        &[("CUPEL_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1, unix")],
    );
    let trusted = lists.unwrap().live.trusted_proxies;
    assert!(trusted.unix && trusted.networks.len() == 2);
    assert!(trusted.contains("192.0.2.1".parse().unwrap()));
    let mapped = load("trusted_proxies = ['::ffff:10.0.0.0/104']", &[], &[]);
    let mapped = mapped.unwrap().live.trusted_proxies;
    assert!(mapped.contains("10.1.2.3".parse().unwrap()));
}

#[test]
fn every_key_can_be_set_in_every_way() {
    for key in keys() {
        // A value that is none of the key's own, so that whoever reads it says so.
        let wrong = "\u{7f}";
        let (section, name) = key.name.split_once('.').unwrap_or(("", &key.name));
        let header = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let file = format!("{header}{name} = \"\\u007f\"");
        let set = format!("{}={wrong}", key.name);
        let variable = key.variable();
        for (loaded, origin) in [
            (load(&file, &[], &[]), "cupel.toml"),
            (load("", &[&set], &[]), "--set"),
            (load("", &[], &[(&variable, wrong)]), variable.as_str()),
        ] {
            let seen = match loaded {
                Ok(config) => {
                    let value = config
                        .values
                        .into_iter()
                        .find(|it| it.key == key.name)
                        .unwrap();
                    value.origin.to_string()
                }
                Err(error) => {
                    let problem = error.0.iter().find(|problem| problem.key == key.name);
                    problem
                        .unwrap_or_else(|| panic!("{}: {error}", key.name))
                        .origin
                        .to_string()
                }
            };
            assert!(seen.contains(origin), "{}: {seen}", key.name);
        }
    }
}

#[test]
fn keys_that_are_reloaded_are_those_of_the_live_part_and_no_others() {
    let default = load("", &[], &[]).unwrap();
    // A good value, other than the default, of each key that is reloaded.
    let others = [
        ("trusted_proxies", "10.0.0.0/8"),
        ("forwarded_header", "forwarded"),
        ("act_hosts", "a.example"),
        ("face.sender", "We"),
        ("face.contact", "a@a.example"),
        ("settle.paused", "true"),
        ("privacy.level", "none"),
        ("privacy.signals", "ignore"),
        ("log.filter", "debug"),
    ];
    let reloaded: Vec<_> = keys().iter().filter(|key| key.reloaded).collect();
    assert_eq!(reloaded.len(), others.len());
    for key in reloaded {
        let (_, other) = others.iter().find(|(name, _)| *name == key.name).unwrap();
        let changed = load("", &[&format!("{}={other}", key.name)], &[]).unwrap();
        assert_ne!(changed.live, default.live, "{}", key.name);
    }
}

#[test]
fn links_begin_with_the_first_host_of_an_authority_where_nothing_else_is_said() {
    let config = load(
        "listen = '0.0.0.0:443'\n[acme]\nhosts = ['a.example']",
        &[],
        &[],
    );
    let config = config.unwrap();
    assert!(config.base_url.is_none() && config.acme.is_some());
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = load(
        "lisen = 'x'\nlisten = 'nowhere'\n[journal]\nkeep = 1\nsync_ms_max = 51\n",
        &["privacy.level=all", "nonsense"],
        &[
            ("CUPEL_JOURNAL__KEPT_HOURS", "1"),
            ("CUPEL_LISTN", "x"),
            ("CUPEL_PORT", "tcp://1"),
        ],
    );
    let said = error.unwrap_err().to_string();
    let lines: Vec<_> = said.lines().collect();
    for (origin, rest) in [
        ("cupel.toml:1", "lisen: unknown key; did you mean listen?"),
        (
            "cupel.toml:2",
            "listen: \"nowhere\" is not an address such as",
        ),
        (
            "cupel.toml:4",
            "journal.keep: unknown key; did you mean journal.keep_hours?",
        ),
        (
            "cupel.toml:5",
            "journal.sync_ms_max: 51 ms is not between 1 ms and 50 ms",
        ),
        (
            "--set",
            "privacy.level: \"all\" is none of individual, aggregate, none",
        ),
        ("--set", "\"nonsense\" is not KEY=VALUE"),
        (
            "CUPEL_JOURNAL__KEPT_HOURS",
            "sets nothing; did you mean CUPEL_JOURNAL__KEEP_HOURS?",
        ),
        ("CUPEL_LISTN", "sets nothing; did you mean CUPEL_LISTEN?"),
    ] {
        let found = lines.iter().any(|line| {
            line.starts_with("configuration: ") && line.contains(&format!("{origin}: {rest}"))
        });
        assert!(found, "no {origin}: {rest} in\n{said}");
    }
    assert_eq!(lines.len(), 8, "{said}");
}

#[test]
fn a_missing_file_is_named() {
    let flags = Flags {
        config: Some(PathBuf::from("/nowhere/cupel.toml")),
        ..Flags::default()
    };
    let said = Config::from(&flags, &Variables::new())
        .unwrap_err()
        .to_string();
    assert!(said.contains("cannot read /nowhere/cupel.toml"), "{said}");
}

#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let value = std::ffi::OsString::from_vec(b"10.0.0.0/8\xff".to_vec());
    let variables = Variables::from([("CUPEL_TRUSTED_PROXIES".to_owned(), value)]);
    let refused = Config::from(&Flags::default(), &variables).unwrap_err();
    let said = refused.to_string();
    let line = "configuration: CUPEL_TRUSTED_PROXIES: trusted_proxies: is not UTF-8";
    assert_eq!(said, line);
}

#[test]
fn a_password_is_not_shown_and_its_change_is_seen() {
    let store = |url: &str| load(&format!("store = {url:?}\n"), &[], &[]).unwrap();
    for (url, shown) in [
        ("postgres://u:s3cret@h/d", "postgres://u:***@h/d"),
        (
            "postgres:///d?host=/run&password=s3cret&user=u",
            "postgres:///d?host=%2Frun&password=***&user=u",
        ),
        ("postgres://h/d", "postgres://h/d"),
    ] {
        let config = store(url);
        assert_eq!(value(&config, "store").unwrap(), format!("{shown:?}"));
        assert_eq!(config.store.as_deref(), Some(url));
        assert!(!format!("{:?}", config.values).contains("s3cret"));
    }
    let said = load("store = 'mysql://u:s3cret@h/d'", &[], &[]).unwrap_err();
    assert!(!said.to_string().contains("s3cret"), "{said}");
    let place = |config: &Config| config.values.iter().position(|it| it.key == "store");
    let (one, other) = (store("postgres://u:a@h/d"), store("postgres://u:b@h/d"));
    let of = |config: &Config| config.values[place(config).unwrap()].clone();
    assert!(!of(&one).says_the_same(&of(&other)) && of(&one).says_the_same(&of(&one)));
}
