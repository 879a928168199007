//! Configuration: what was written (flags, environment, file) and what is true. The only reader of
//! environment and settings files.
//!
//! Flag > environment > file of a variable > file > default. The keys, their defaults and what
//! they mean stand in `cupel.example.toml` and nowhere else ([`keys`]). Unknown keys are refused,
//! and everything that is wrong is said at once.

mod address;
mod certificates;
mod checked;
mod environment;
mod file;
mod layers;
mod live;
mod reference;
mod role;
mod setting;
#[cfg(test)]
mod tests;
mod units;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use url::Url;

use crate::domain::campaign::PrivacyLevel;

use layers::Layers;
use setting::{Setting, Written};

pub use address::{Address, Place};
pub use certificates::{Acme, AcmeChallenge, Certificate};
pub use checked::{Config, HttpLimits};
pub use live::Live;
pub use reference::{Key, keys};
pub use role::Role;
pub use setting::{Origin, Problem};

/// Every key with its default, unit and reason.
pub const EXAMPLE: &str = include_str!("../../cupel.example.toml");

/// Everything that is wrong with a configuration: one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Problem>);

/// Flags that set keys; they win over everything else.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Data directory: keys, journal and database; made if missing [env: CUPEL_DATA]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where readers' requests are taken [env: CUPEL_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where API, metrics and health are served [env: CUPEL_CONTROL] [default: 127.0.0.1:8081]
    #[arg(long, value_name = "HOST:PORT")]
    pub control: Option<String>,
    /// What tracked links begin with [env: CUPEL_BASE_URL] [default: the listen address]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// What this process does: all, edge (readers) or settle [env: CUPEL_ROLE] [default: all]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Any other key of the configuration, such as journal.keep_hours=48; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Configuration file [default: DIR/cupel.toml if there is one]
    #[arg(long, env = "CUPEL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Flags {
    /// What they set.
    fn read(&self, problems: &mut Vec<Problem>) -> Vec<Setting> {
        let data = self.data.as_ref().map(|data| data.display().to_string());
        let mut settings = Vec::new();
        for text in &self.set {
            match text.split_once('=') {
                Some((key, value)) => settings.push(flag("--set", key.trim(), value)),
                None => {
                    let what = format!("{text:?} is not KEY=VALUE");
                    problems.push(Problem::new(Origin::Flag("--set"), "", what));
                }
            }
        }
        let own = [
            ("--data", "data", &data),
            ("--listen", "listen", &self.listen),
            ("--control", "control", &self.control),
            ("--base-url", "base_url", &self.base_url),
            ("--role", "role", &self.role),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, key, value)| Some(flag(name, key, value.as_deref()?)));
        settings.extend(own);
        settings
    }
}

fn flag(name: &'static str, key: &str, value: &str) -> Setting {
    Setting {
        key: key.to_owned(),
        written: Written::One(value.to_owned()),
        origin: Origin::Flag(name),
    }
}

/// What becomes of hits whose browser sends Global Privacy Control or Do Not Track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    /// Name of the sender, shown on pages.
    pub sender: String,
    /// Where abuse is reported: an address or URL, shown on pages and in security.txt.
    pub contact: String,
}

/// Peers whose word on a reader's address and scheme is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Their networks.
    pub networks: Vec<IpNet>,
    /// Those that come through a socket file.
    pub unix: bool,
    /// The one header that they write; readers may have sent any other.
    pub header: ForwardedHeader,
}

/// By which header trusted proxies name the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto` for the scheme.
    #[default]
    XForwardedFor,
    /// RFC 7239, for both.
    Forwarded,
}

impl TrustedProxies {
    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

/// A key's value and where it comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// Name of the key.
    pub key: &'static str,
    /// The value in TOML; `None` if it is not set.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// As it was written, passwords and all.
    written: Option<Written>,
}

impl Value {
    fn of(key: &'static Key, layers: &Layers) -> Self {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let scalar = |text: &str| {
            let bare = text.parse::<i64>().is_ok() || matches!(text, "true" | "false");
            let as_text = key.shown.contains('"') && text.parse::<bool>().is_err();
            if bare && !as_text {
                text.to_owned()
            } else {
                quoted(text)
            }
        };
        let value = layers.written(&key.name).map(|written| match written {
            Written::One(text) => scalar(&without_password(text)),
            Written::Many(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| quoted(&without_password(item)))
                    .collect();
                format!("[{}]", items.join(", "))
            }
        });
        Self {
            key: &key.name,
            value,
            written: layers.written(&key.name).cloned(),
            origin: layers.origin(&key.name),
        }
    }

    /// Whether the same was written, what is not shown among it.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("not set");
        write!(f, "{} = {value} ({})", self.key, self.origin)
    }
}

/// A value that may be shown: a URL without its password, which stands before the host or among the
/// parameters.
#[must_use]
pub fn without_password(text: &str) -> String {
    const MASK: &str = "***";
    let is_password = |name: &str| name == "password";
    let Ok(mut url) = Url::parse(text) else {
        // Nobody can say where in it a password stands.
        let scheme = text.split_once("://");
        return scheme.map_or_else(
            || text.to_owned(),
            |(scheme, _)| format!("{scheme}://{MASK}"),
        );
    };
    let parameter = url.query_pairs().any(|(name, _)| is_password(&name));
    if url.password().is_none() && !parameter {
        return text.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if parameter {
        let pairs = url.query_pairs().into_owned();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| match is_password(&name) {
                true => (name, MASK.to_owned()),
                false => (name, value),
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    String::from(url)
}

/// Names of the sockets that systemd passes, in their order.
#[must_use]
pub fn passed_socket_names() -> Vec<String> {
    environment::passed_socket_names()
}

/// Where data lies if nobody says.
const DATA: &str = "data";

/// The data directory of the server that is started with this configuration file in this
/// environment, whatever else is wrong with them.
#[must_use]
pub fn data_directory(config: Option<&Path>) -> PathBuf {
    let variables = environment::variables();
    let flags = Flags {
        config: config.map(Path::to_owned),
        ..Flags::default()
    };
    let path = |text: &str| Ok::<_, String>(PathBuf::from(text));
    let named = environment::data(&variables);
    let named = named.or_else(|| layers(&flags, &variables).optional("data", path));
    named.unwrap_or_else(|| PathBuf::from(DATA))
}

/// The configuration file that these flags lead to, if there is one.
fn file_of(flags: &Flags, variables: &environment::Variables) -> Option<PathBuf> {
    let named = flags.config.clone();
    named.or_else(|| {
        let data = flags.data.clone().or_else(|| environment::data(variables));
        let data = data.unwrap_or_else(|| PathBuf::from(DATA));
        let beside = data.join("cupel.toml");
        beside.exists().then_some(beside)
    })
}

/// Everything that was written, layer over layer.
fn layers(flags: &Flags, variables: &environment::Variables) -> Layers {
    let mut problems = Vec::new();
    let mut written = match file_of(flags, variables) {
        Some(file) => file::read(&file, &mut problems),
        None => Vec::new(),
    };
    written.extend(environment::read(variables, &mut problems));
    written.extend(flags.read(&mut problems));
    Layers::new(written, problems)
}
