//! Configurations that are wrong.

/// What is written in the file, in the environment and in flags; and a line that must be said.
pub(super) struct Wrong(
    pub(super) &'static str,
    pub(super) &'static [(&'static str, &'static str)],
    pub(super) &'static str,
    pub(super) &'static str,
);

const fn file(text: &'static str, said: &'static str) -> Wrong {
    Wrong(text, &[], "", said)
}

pub(super) const WRONG: &[Wrong] = &[
    // Keys that there are not.
    file(
        "lisen = 'x'",
        "cupel.toml:1: lisen: unknown key; did you mean listen?",
    ),
    file(
        "\n\nworker = 2",
        "cupel.toml:3: worker: unknown key; did you mean workers?",
    ),
    file(
        "[journal]\nkeep = 1",
        "cupel.toml:2: journal.keep: unknown key; did you mean journal.keep_hours?",
    ),
    file(
        "keep_hours = 1",
        "cupel.toml:1: keep_hours: unknown key; did you mean journal.keep_hours?",
    ),
    file(
        "[face]\nabuse = 'a@b'",
        "cupel.toml:2: face.abuse: unknown key; `cupel config docs` lists them",
    ),
    file(
        "[jornal]\nkeep_hours = 1",
        "cupel.toml:2: jornal.keep_hours: unknown key; did you mean journal.keep_hours?",
    ),
    file(
        "journal = 5",
        "cupel.toml:1: journal: is a section: write its keys below [journal]",
    ),
    file(
        "[listen]\nport = 80",
        "cupel.toml:2: listen.port: listen is a key, not a section",
    ),
    // Values of the wrong form.
    file(
        "workers = 'two'",
        "cupel.toml:1: workers: two is not a number between 1 and 128",
    ),
    file(
        "workers = 0",
        "cupel.toml:1: workers: 0 is not a number between 1 and 128",
    ),
    file(
        "workers = [1, 2]",
        "cupel.toml:1: workers: takes one value, not a list",
    ),
    file(
        "workers = 2.5",
        "cupel.toml:1: workers: 2.5 is not a number between 1 and 128",
    ),
    file(
        "data = {a = 1}",
        "cupel.toml:1: data.a: data is a key, not a section",
    ),
    file(
        "data = 2026-11-22",
        "cupel.toml:1: data: takes a text, a number, true or false, or a list of them",
    ),
    file(
        "proxy_protocol = 'yes'",
        "cupel.toml:1: proxy_protocol: \"yes\" is neither true nor false",
    ),
    file(
        "[journal]\nkeep_hours = '5 MB'",
        "cupel.toml:2: journal.keep_hours: \"5 MB\" is no time such as 50ms, 10s, 24h or 7 days",
    ),
    file(
        "[journal]\nsync_ms_max = '1m'",
        "cupel.toml:2: journal.sync_ms_max: 60000 ms is not between 1 ms and 50 ms",
    ),
    file(
        "[journal]\nsegment_bytes_max = '50ms'",
        "cupel.toml:2: journal.segment_bytes_max: \"50ms\" is no size such as 65536, 64 MiB",
    ),
    file(
        "[journal]\nsegment_bytes_max = '2 GiB'",
        "cupel.toml:2: journal.segment_bytes_max: 2 GiB is not between 64.0 KiB and 1.0 GiB",
    ),
    file(
        "[journal]\nring_slots = 1000",
        "cupel.toml:2: journal.ring_slots: 1000 is no power of two",
    ),
    file(
        "[journal]\ndurability = 'sink'",
        "cupel.toml:2: journal.durability: \"sink\" is unknown; did you mean \"sync\"?",
    ),
    file(
        "[privacy]\nlevel = 'all'",
        "cupel.toml:2: privacy.level: \"all\" is none of individual, aggregate, none",
    ),
    file("[log]\nfilter = '=[[['", "cupel.toml:2: log.filter: "),
    file(
        "socket_mode = '0999'",
        "cupel.toml:1: socket_mode: \"0999\" is no access such as \"0660\"",
    ),
    // Addresses and URLs.
    file(
        "listen = 'nowhere'",
        "cupel.toml:1: listen: \"nowhere\" is not an address such as 127.0.0.1:8080",
    ),
    file(
        "listen = ['127.0.0.1:0', 'x']",
        "cupel.toml:1: listen: \"x\" is not an address",
    ),
    file("listen = []", "cupel.toml:1: listen: names no address"),
    file(
        "listen = 'unix:relative'",
        "cupel.toml:1: listen: \"unix:relative\" is no socket file",
    ),
    file(
        "listen = '0.0.0.0:80'",
        "base_url: say what links begin with, such as https://t.example.com",
    ),
    file(
        "control = '0.0.0.0:8081'",
        "cupel.toml:1: control: 0.0.0.0:8081 is not a loopback address; set tls",
    ),
    file(
        "control = 'http://0.0.0.0:8081'\n[tls]\ncontrol_certificate = '/dev/null'\n\
         control_key = '/dev/null'",
        "cupel.toml:1: control: 0.0.0.0:8081 is not a loopback address, and http:// makes it clear",
    ),
    file(
        "act_hosts = ['a.example', 'https://b.example']",
        "cupel.toml:1: act_hosts: \"https://b.example\" is no host such as t.example.com",
    ),
    file(
        "act_hosts = ['a.example:443']",
        "cupel.toml:1: act_hosts: \"a.example:443\" names a port that browsers leave out",
    ),
    file(
        "face.sender = 'x'\nact_hosts = 'a.example/path'",
        "cupel.toml:2: act_hosts: \"a.example/path\" is no host",
    ),
    file(
        "base_url = 'ftp://a.example'",
        "cupel.toml:1: base_url: \"ftp://a.example\" is not scheme, host and port only",
    ),
    file(
        "base_url = 'https://a.example/path'",
        "cupel.toml:1: base_url: ",
    ),
    file(
        "base_url = 'https://a;b.example'",
        "cupel.toml:1: base_url: ",
    ),
    file(
        "trusted_proxies = ['10.0.0.0/33']",
        "cupel.toml:1: trusted_proxies: \"10.0.0.0/33\" is no network",
    ),
    file(
        "trusted_proxies = ['10.0.0.1/8']",
        "cupel.toml:1: trusted_proxies: 10.0.0.1/8 has bits beyond its prefix; write 10.0.0.0/8",
    ),
    // Keys at odds with each other.
    file(
        "proxy_protocol = true",
        "cupel.toml:1: proxy_protocol: needs trusted_proxies",
    ),
    file(
        "[tls]\ncertificate = '/dev/null'",
        "cupel.toml:2: tls.certificate: needs tls.key beside it",
    ),
    file(
        "[tls]\ncertificate = '/nowhere'\nkey = '/dev/null'",
        "cupel.toml:2: tls.certificate: cannot read /nowhere",
    ),
    file(
        "[tls]\ncertificate = '/dev/null'\nkey = '/dev/null'\n[acme]\nhosts = ['a.example']",
        "cupel.toml:5: acme.hosts: is at odds with tls.certificate",
    ),
    file(
        "[acme]\nhosts = ['*.example']",
        "cupel.toml:2: acme.hosts: \"*.example\" is no host name",
    ),
    file(
        "listen = 'http://127.0.0.1:80'\n[acme]\nhosts = ['a.example']",
        "cupel.toml:3: acme.hosts: needs a listen address that speaks TLS",
    ),
    file(
        "[acme]\ncontact = 'nobody'",
        "cupel.toml:2: acme.contact: \"nobody\" is no e-mail address",
    ),
    file(
        "[acme]\ndirectory = 'http://a.example/'",
        "cupel.toml:2: acme.directory: \"http://a.example/\" is no https URL",
    ),
    file(
        "[log]\notlp_endpoint = 'http://127.0.0.1:4318/v1/traces'",
        "cupel.toml:2: log.otlp_endpoint: needs a binary that was built with --features otlp",
    ),
    // What is no TOML.
    file("listen = ", "cupel.toml:1: "),
    file("a = 1\na = 2", "cupel.toml:2: duplicate key"),
    file("[face\nsender = 'x'", "cupel.toml:1: "),
    // The environment and flags.
    Wrong(
        "",
        &[("CUPEL_LISTEN", "x")],
        "",
        "CUPEL_LISTEN: listen: \"x\" is not an address",
    ),
    Wrong(
        "",
        &[("CUPEL_JOURNAL__KEEP", "1")],
        "",
        "CUPEL_JOURNAL__KEEP: sets nothing; did you mean CUPEL_JOURNAL__KEEP_HOURS?",
    ),
    Wrong(
        "",
        &[("CUPEL_NOTHING__LIKE_IT", "1")],
        "",
        "CUPEL_NOTHING__LIKE_IT: sets nothing; `cupel config docs` lists the keys",
    ),
    Wrong(
        "",
        &[("CUPEL_FACE__CONTACT_FILE", "/nowhere")],
        "",
        "CUPEL_FACE__CONTACT_FILE: face.contact: cannot read /nowhere",
    ),
    Wrong(
        "",
        &[("CUPEL_DATA", "a"), ("CUPEL_DATA_FILE", "/dev/null")],
        "",
        "CUPEL_DATA: data: CUPEL_DATA_FILE is set too; take one of them away",
    ),
    Wrong("", &[], "nonsense", "--set: \"nonsense\" is not KEY=VALUE"),
    Wrong(
        "",
        &[],
        "journal.keep_hours=soon",
        "--set: journal.keep_hours: \"soon\" is no time",
    ),
];
