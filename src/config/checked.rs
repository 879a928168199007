//! The configuration that code may rely on: every key understood and within its bounds, and no two
//! at odds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::journal::{Durability, JournalOptions};
use crate::telemetry::LogFormat;

use super::address::{Address, Place, base_url};
use super::certificates::{Acme, Certificate, acme, certificate};
use super::environment::{self, Variables};
use super::file;
use super::layers::Layers;
use super::live::Live;
use super::reference::keys;
use super::role::Role;
use super::setting::Origin;
use super::{ConfigError, Flags, Value, layers};

/// Configuration that code may rely on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// Where readers are listened to; at least one.
    pub listen: Vec<Address>,
    /// Where API, metrics and health are served.
    pub control: Address,
    /// API keys may cross a network in clear text.
    pub control_without_tls: bool,
    /// Mode of socket files.
    pub socket_mode: u32,
    /// Scheme and authority that tracked links begin with, without a slash at the end; `None`
    /// stands for the address that the public listener is bound to.
    pub base_url: Option<String>,
    /// Every connection of a reader begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Certificate of the public listener.
    pub tls: Option<Certificate>,
    /// Certificate of the control listener.
    pub control_tls: Option<Certificate>,
    /// Certificates of the public listener from an authority.
    pub acme: Option<Acme>,
    /// Limits of connections to the public listener.
    pub http: HttpLimits,
    /// Limits of the journal.
    pub journal: JournalOptions,
    /// Correlation window; `None` leaves it to the rule set.
    pub window: Option<Duration>,
    /// Records settled in one transaction.
    pub settle_records_max: u32,
    /// Rule sets that are counted at once, the live one among them.
    pub rulesets_max: u32,
    /// Hits with an open window that are kept in memory.
    pub settle_window_hits_max: usize,
    /// ASN table to use instead of the shipped one.
    pub network_table: Option<PathBuf>,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// What may change while the server runs.
    pub live: Live,
    /// URL of the PostgreSQL database that is the store; a file of the data directory without it.
    pub store: Option<String>,
    /// What this process does of what several may share.
    pub role: Role,
    /// Every key with its value, in the order of the example.
    pub values: Vec<Value>,
    /// The flags that it was loaded with.
    pub flags: Flags,
}

/// Limits of connections to the public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// An idle connection stays open this long.
    pub keep_alive: Duration,
    /// The head of a request, a handshake or PROXY header take at most this.
    pub head: Duration,
    /// The body of a press takes at most this.
    pub body: Duration,
    /// A reader that takes nothing of its answer is cut off after this.
    pub stalled: Duration,
    /// Connections of each worker.
    pub connections_max: usize,
    /// `/readyz` says that the server stops this long before it does.
    pub drain: Duration,
    /// What running requests may take when the server stops.
    pub stop: Duration,
}

impl Config {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    /// Everything that is wrong, each with where it is written, its key and a remedy.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::from(flags, &environment::variables())
    }

    /// Reads what a running server has in force, as `key = value` lines.
    ///
    /// # Errors
    /// The server knows other keys than we do.
    pub fn of_server(lines: &str) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let written = file::parse(Path::new("server"), lines, &mut problems);
        Self::check(Layers::new(written, problems))
    }

    /// Reads it all again with the flags it was loaded with.
    ///
    /// # Errors
    /// As of [`Config::load`].
    pub fn load_again(&self) -> Result<Self, ConfigError> {
        Self::load(&self.flags)
    }

    pub(super) fn from(flags: &Flags, variables: &Variables) -> Result<Self, ConfigError> {
        let mut config = Self::check(layers(flags, variables))?;
        config.flags = flags.clone();
        Ok(config)
    }

    fn check(mut layers: Layers) -> Result<Self, ConfigError> {
        let config = Self::read(&mut layers);
        config.agrees(&mut layers);
        if !layers.problems.is_empty() {
            layers.problems.sort_by_key(|problem| match problem.origin {
                Origin::File { line, .. } => line,
                _ => usize::MAX,
            });
            return Err(ConfigError(layers.problems));
        }
        Ok(config)
    }

    fn read(layers: &mut Layers) -> Self {
        let path = |text: &str| Ok::<_, String>(PathBuf::from(text));
        let one = |text: &str| Address::parse(text);
        let workers = layers.number("workers", 1..=128);
        let nowhere = || Address {
            place: Place::Unix(PathBuf::new()),
            plain: true,
        };
        Self {
            data: layers.one("data", path),
            listen: layers.many("listen", one),
            control: layers.optional("control", one).unwrap_or_else(nowhere),
            control_without_tls: layers.yes_or_no("control_without_tls"),
            socket_mode: layers.one("socket_mode", mode),
            base_url: layers.optional("base_url", base_url),
            proxy_protocol: layers.yes_or_no("proxy_protocol"),
            tls: certificate(layers, "tls.certificate", "tls.key"),
            control_tls: certificate(layers, "tls.control_certificate", "tls.control_key"),
            acme: acme(layers),
            http: http(layers),
            journal: journal(layers, workers.unwrap_or_else(cores)),
            window: layers.time("settle.window_seconds", 0..=3_600),
            settle_records_max: layers
                .number("settle.records_max", 1..=100_000)
                .unwrap_or(1),
            rulesets_max: layers.number("settle.rulesets_max", 1..=10).unwrap_or(1),
            settle_window_hits_max: layers
                .number("settle.window_hits_max", 0..=10_000_000)
                .unwrap_or(0),
            network_table: layers.optional("network.table", path),
            log_format: layers
                .word(
                    "log.format",
                    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                )
                .unwrap_or_default(),
            otlp_endpoint: layers.optional("log.otlp_endpoint", otlp_endpoint),
            store: layers.optional("store", store),
            role: layers.word("role", Role::NAMES).unwrap_or_default(),
            live: Live::read(layers),
            values: keys().iter().map(|key| Value::of(key, layers)).collect(),
            flags: Flags::default(),
        }
    }

    /// Notes keys that are at odds with each other.
    fn agrees(&self, layers: &mut Layers) {
        let unspecified = |it: &Address| it.tcp().is_some_and(|it| it.ip().is_unspecified());
        if self.listen.is_empty() && layers.problems.is_empty() {
            layers.refuse("listen", "names no address");
        }
        let first = self.listen.first();
        let unnamed = first.is_some_and(|it| unspecified(it) || it.tcp().is_none());
        // With ACME they begin with its first host.
        let named = layers.is_set("base_url") || self.acme.is_some();
        if unnamed && !named {
            let what = "say what links begin with, such as https://t.example.com";
            layers.refuse("base_url", what);
        }
        let loopback = |it: &Address| it.tcp().is_none_or(|it| it.ip().is_loopback());
        let in_clear = self.control_tls.is_none() || self.control.plain;
        // API keys would cross the network in clear text.
        if in_clear && !loopback(&self.control) && !self.control_without_tls {
            let remedy = match self.control_tls {
                None => {
                    "; set tls.control_certificate and tls.control_key, or control_without_tls \
                     where the network itself is encrypted"
                }
                Some(_) => ", and http:// makes it clear text; take http:// away",
            };
            let what = format!("{} is not a loopback address{}", self.control.place, remedy);
            layers.refuse("control", what);
        }
        if let Some(what) = self.role.refused(self.store.as_deref()) {
            layers.refuse("role", what);
        }
        if self.proxy_protocol && self.live.trusted_proxies.is_empty() {
            let what = "needs trusted_proxies: the header is taken from nobody else";
            layers.refuse("proxy_protocol", what);
        }
        if self.tls.is_some() && self.acme.is_some() {
            let what = "is at odds with tls.certificate: take one of them away";
            layers.refuse("acme.hosts", what);
        }
        if self.acme.is_some() && self.listen.iter().all(|it| it.plain) {
            let what = "needs a listen address that speaks TLS, such as 0.0.0.0:443";
            layers.refuse("acme.hosts", what);
        }
    }
}

/// One worker per core.
fn cores() -> u8 {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| u8::try_from(cores.get()).unwrap_or(128).min(128))
}

fn otlp_endpoint(text: &str) -> Result<String, String> {
    if !cfg!(feature = "otlp") {
        return Err("needs a binary that was built with --features otlp".to_owned());
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    url.map(|_| text.to_owned())
        .ok_or_else(|| format!("{text:?} is no URL such as http://127.0.0.1:4318/v1/traces"))
}

/// What is wrong with it is said without repeating it: a password may stand there.
fn store(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    url.map(|_| text.to_owned())
        .ok_or_else(|| "is no URL such as postgres://user:password@host/database".to_owned())
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("{text:?} is no access such as \"0660\""))
}

fn http(layers: &mut Layers) -> HttpLimits {
    let mut time = |key: &str, bounds| layers.time(key, bounds).unwrap_or_default();
    HttpLimits {
        keep_alive: time("http.keep_alive_seconds", 1..=3_600),
        head: time("http.head_seconds_max", 1..=300),
        body: time("http.body_seconds_max", 1..=300),
        stalled: time("http.stalled_seconds_max", 1..=3_600),
        drain: time("http.drain_seconds", 0..=600),
        stop: time("http.stop_seconds_max", 1..=600),
        connections_max: layers
            .number("http.connections_max", 1..=1_000_000)
            .unwrap_or(1),
    }
}

fn journal(layers: &mut Layers, workers: u8) -> JournalOptions {
    let time = |layers: &mut Layers, key, bounds| layers.time(key, bounds).unwrap_or_default();
    let slots = layers
        .number("journal.ring_slots", 128..=1 << 20)
        .unwrap_or(128);
    if !u32::is_power_of_two(slots) {
        layers.refuse("journal.ring_slots", format!("{slots} is no power of two"));
    }
    JournalOptions {
        durability: layers
            .word(
                "journal.durability",
                &[("group", Durability::Group), ("sync", Durability::Sync)],
            )
            .unwrap_or_default(),
        sync_wait: time(layers, "journal.sync_wait_ms_max", 1..=1_000),
        rings: workers,
        ring_directory: layers.optional("journal.ring_directory", |text| {
            Ok::<_, String>(Path::new(text).to_owned())
        }),
        ring_slots: slots,
        sync_every: time(layers, "journal.sync_ms_max", 1..=50),
        segment_bytes_max: layers.bytes("journal.segment_bytes_max", 65_536..=1 << 30),
        keep: time(layers, "journal.keep_hours", 1..=720),
        spool_keep: time(layers, "journal.spool_days", 1..=365),
        spool_bytes_max: layers.bytes("journal.spool_bytes_max", 0..=u64::MAX),
        bytes_max: layers.bytes("journal.bytes_max", 0..=u64::MAX),
        side_texts_per_hour_max: layers
            .number("journal.side_texts_per_hour_max", 0..=u32::MAX)
            .unwrap_or_default(),
    }
}
