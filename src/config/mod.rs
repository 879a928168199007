//! Configuration: what was written (file, environment, flags) and what is true. The only reader
//! of environment and settings files.
//!
//! Flag > environment > file > default. Unknown keys are refused.

mod written;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::domain::campaign::PrivacyLevel;
use crate::domain::destination::usable_host;
use crate::journal::JournalOptions;
use crate::telemetry::LogFormat;

use written::{Written, WrittenJournal, read};

/// Every key with its default, unit and reason.
pub const EXAMPLE: &str = include_str!("../../cupel.example.toml");

/// Ours from info on; of the servers beneath only what is wrong.
const LOG_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// One line that says what is wrong, where, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Flags and environment of `serve`; they win over the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Data directory: keys, journal and database; made if missing
    #[arg(long, env = "CUPEL_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where readers' requests are taken [default: 127.0.0.1:8080]
    #[arg(long, env = "CUPEL_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where API, metrics and health are served [default: 127.0.0.1:8081]
    #[arg(long, env = "CUPEL_CONTROL", value_name = "HOST:PORT")]
    pub control: Option<String>,
    /// What tracked links begin with [default: http:// and the listen address]
    #[arg(long, env = "CUPEL_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,
    /// Configuration file [default: DIR/cupel.toml if there is one]
    #[arg(long, env = "CUPEL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What becomes of hits whose browser sends Global Privacy Control or Do Not Track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrivacySignals {
    /// Nothing changes.
    Ignore,
    /// They are recorded as `aggregate`.
    #[default]
    Aggregate,
    /// They are not recorded.
    None,
}

impl PrivacySignals {
    /// The level that such a hit is recorded under at most.
    #[must_use]
    pub const fn level(self) -> PrivacyLevel {
        match self {
            Self::Ignore => PrivacyLevel::Individual,
            Self::Aggregate => PrivacyLevel::Aggregate,
            Self::None => PrivacyLevel::None,
        }
    }
}

/// What the pages say of the sender.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Face {
    /// Name of the sender, shown on pages.
    pub sender: String,
    /// Where abuse is reported: an address or URL, shown on pages and in security.txt.
    pub contact: String,
}

/// Configuration that code may rely on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the control listener.
    pub control: SocketAddr,
    /// Scheme and authority that tracked links begin with, without a slash at the end; `None`
    /// stands for the address that the public listener is bound to.
    pub base_url: Option<String>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Hosts (and ports, where they are not the scheme's own) on which acts are taken, in lower
    /// case; empty for any. Content redirects on every host.
    pub act_hosts: Vec<String>,
    /// What the pages say of the sender.
    pub face: Face,
    /// Limits of the journal.
    pub journal: JournalOptions,
    /// Correlation window; `None` leaves it to the rule set.
    pub window: Option<Duration>,
    /// Records settled in one transaction.
    pub settle_records_max: u32,
    /// Hits wait in the journal, and nothing is written to the store.
    pub settle_paused: bool,
    /// Level of the installation.
    pub level: PrivacyLevel,
    /// What GPC and DNT do.
    pub privacy_signals: PrivacySignals,
    /// ASN table to use instead of the shipped one.
    pub network_table: Option<PathBuf>,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of tracing's `EnvFilter`.
    pub log_filter: String,
}

impl Config {
    /// Reads the file, if there is one, and puts the flags over it.
    ///
    /// # Errors
    /// One line: file, line, key and remedy.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let data = flags.data.clone();
        let file = flags.config.clone().or_else(|| {
            let beside = data.clone().unwrap_or_else(default_data).join("cupel.toml");
            beside.exists().then_some(beside)
        });
        let written = match &file {
            Some(file) => read(file)?,
            None => Written::default(),
        };
        let workers = bounded("workers", written.workers.unwrap_or_else(cores), 1..=128)?;
        let journal = written.journal.checked(workers)?;
        let listen = flags.listen.clone().or(written.listen);
        let control = flags.control.clone().or(written.control);
        let base_url = flags.base_url.clone().or(written.base_url);
        let window = written.settle.window_seconds.map(Duration::from_secs);
        if window.is_some_and(|window| window > Duration::from_hours(1)) {
            return Err(error(
                "settle.window_seconds",
                "is more than an hour (3600)",
            ));
        }
        let listen = address("listen", listen.as_deref().unwrap_or("127.0.0.1:8080"))?;
        if listen.ip().is_unspecified() && base_url.is_none() {
            let what = "say what links begin with, such as https://t.example.com";
            return Err(error("base_url", what));
        }
        Ok(Self {
            data: data.or(written.data).unwrap_or_else(default_data),
            listen,
            control: control_address(control.as_deref().unwrap_or("127.0.0.1:8081"))?,
            base_url: base_url.as_deref().map(checked_base_url).transpose()?,
            trusted_proxies: written.trusted_proxies,
            act_hosts: written
                .act_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            face: written.face,
            journal,
            window,
            settle_records_max: bounded(
                "settle.records_max",
                written.settle.records_max.unwrap_or(10_000),
                1..=100_000,
            )?,
            settle_paused: written.settle.paused,
            level: written.privacy.level.unwrap_or(PrivacyLevel::Individual),
            privacy_signals: written.privacy.signals,
            network_table: written.network.table,
            log_format: written.log.format,
            log_filter: checked_filter(written.log.filter)?,
        })
    }
}

impl WrittenJournal {
    fn checked(&self, workers: u8) -> Result<JournalOptions, ConfigError> {
        let default = JournalOptions::default();
        let sync = self.sync_ms_max.unwrap_or(10);
        let segment = self.segment_bytes_max.unwrap_or(default.segment_bytes_max);
        let keep = self.keep_hours.unwrap_or(24);
        let spool = bounded("journal.spool_days", self.spool_days.unwrap_or(7), 1..=365)?;
        let wait = self.sync_wait_ms_max.unwrap_or(50);
        let slots = self.ring_slots.unwrap_or(default.ring_slots);
        let slots = bounded("journal.ring_slots", slots, 128..=1 << 20)?;
        if !slots.is_power_of_two() {
            return Err(error(
                "journal.ring_slots",
                format!("{slots} is no power of two"),
            ));
        }
        let wait = bounded("journal.sync_wait_ms_max", wait, 1..=1_000)?;
        Ok(JournalOptions {
            durability: self.durability,
            sync_wait: Duration::from_millis(wait),
            rings: workers,
            ring_directory: self.ring_directory.clone(),
            ring_slots: slots,
            sync_every: Duration::from_millis(bounded("journal.sync_ms_max", sync, 1..=50)?),
            segment_bytes_max: bounded("journal.segment_bytes_max", segment, 65_536..=1 << 30)?,
            keep: Duration::from_hours(bounded("journal.keep_hours", keep, 1..=720)?),
            spool_keep: Duration::from_hours(spool * 24),
            spool_bytes_max: self.spool_bytes_max.unwrap_or(default.spool_bytes_max),
            bytes_max: self.bytes_max.unwrap_or(default.bytes_max),
            side_texts_per_hour_max: self
                .side_texts_per_hour_max
                .unwrap_or(default.side_texts_per_hour_max),
        })
    }
}

/// One worker per core.
fn cores() -> u8 {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| u8::try_from(cores.get()).unwrap_or(128).min(128))
}

fn default_data() -> PathBuf {
    PathBuf::from("data")
}

fn error(key: &str, what: impl std::fmt::Display) -> ConfigError {
    ConfigError(format!("configuration: {key}: {what}"))
}

fn bounded<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    bounds: std::ops::RangeInclusive<T>,
) -> Result<T, ConfigError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (from, to) = (bounds.start(), bounds.end());
    Err(error(
        key,
        format!("{value} is not between {from} and {to}"),
    ))
}

fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| {
        error(
            key,
            format!("{text:?} is not an address such as 127.0.0.1:8080 or [::1]:8080"),
        )
    })
}

fn control_address(text: &str) -> Result<SocketAddr, ConfigError> {
    let address = address("control", text)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    // API keys would cross the network in clear text.
    Err(error(
        "control",
        format!("{text:?} is not a loopback address; reach it through a tunnel or a TLS proxy"),
    ))
}

fn checked_filter(written: Option<String>) -> Result<String, ConfigError> {
    let filter = written.unwrap_or_else(|| LOG_FILTER.to_owned());
    match tracing_subscriber::EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(why) => Err(error("log.filter", format!("{filter:?}: {why}"))),
    }
}

fn checked_base_url(text: &str) -> Result<String, ConfigError> {
    let wrong = || {
        error(
            "base_url",
            format!("{text:?} is not scheme, host and port only, such as https://t.example.com"),
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && usable_host(&url)
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if plain {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cupel.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&Flags {
            config: Some(file),
            ..Flags::default()
        })
    }

    #[test]
    fn the_example_names_every_key_with_its_default() {
        let shown = load(EXAMPLE).unwrap();
        let all: String = EXAMPLE
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|line| line.contains(" = "))
                    .unwrap_or(line)
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let spelled_out = load(&all).unwrap();
        let mut defaults = load("").unwrap();
        defaults.base_url = spelled_out.base_url.clone();
        defaults.network_table = spelled_out.network_table.clone();
        defaults.trusted_proxies = spelled_out.trusted_proxies.clone();
        defaults.window = spelled_out.window;
        defaults.journal.rings = spelled_out.journal.rings;
        let elsewhere = &spelled_out.journal.ring_directory;
        defaults.journal.ring_directory.clone_from(elsewhere);
        assert_eq!(format!("{spelled_out:?}"), format!("{defaults:?}"));
        assert_eq!(shown.listen, defaults.listen);
    }

    #[test]
    fn mistakes_are_named_in_one_line() {
        for (text, says) in [
            ("lisen = 'x'", "cupel.toml:1: unknown field `lisen`"),
            (
                "\n[journal]\nkeep = 1",
                "cupel.toml:3: unknown field `keep`",
            ),
            (
                "listen = 'nowhere'",
                "listen: \"nowhere\" is not an address",
            ),
            (
                "control = '0.0.0.0:1'",
                "control: \"0.0.0.0:1\" is not a loopback address",
            ),
            (
                "base_url = 'ftp://a'",
                "base_url: \"ftp://a\" is not scheme, host and port only",
            ),
            ("base_url = 'https://a/b'", "base_url"),
            ("trusted_proxies = ['10.0.0.0/33']", "cupel.toml:1:"),
            (
                "[journal]\nsync_ms_max = 51",
                "journal.sync_ms_max: 51 is not between 1 and 50",
            ),
            ("[privacy]\nlevel = 'all'", "cupel.toml:2:"),
            ("[log]\nfilter = '=[[['", "log.filter"),
            (
                "listen = '0.0.0.0:80'",
                "base_url: say what links begin with",
            ),
            ("base_url = 'https://a;b.example'", "base_url"),
        ] {
            let said = load(text).unwrap_err().to_string();
            assert!(
                said.contains(says) && said.lines().count() == 1,
                "{text:?}: {said}"
            );
        }
    }
}
