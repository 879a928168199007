//! Where a command works: on a server elsewhere, with a key; or on a data directory, through the
//! socket of the server that runs on it, or through one of the command's own.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::error::ErrorKind as ClapError;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, Parser};
use url::{Host, Url};

use crate::app::{Alone, DirectoryError, DirectoryLock, is_used};
use crate::config::{Config, Flags, data_directory};
use crate::telemetry;

use super::Failure;
use super::connection::{Connection, Trust};

/// How long a directory may be in use without a socket: by a server that starts or stops, or by
/// another command.
const IN_USE_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest path of a socket.
const SOCKET_BYTES_MAX: usize = 107;
/// Longest file that may hold a key or certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What says something of `--server` alone, by its id here and as it is typed.
const SERVERS_OWN: [(&str, &str); 3] = [
    ("key_file", "--key-file"),
    ("ca_file", "--ca-file"),
    ("insecure", "--insecure"),
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
struct Written {
    /// Server to work on; without it a data directory
    #[arg(long, global = true, env = "CUPEL_SERVER", value_name = "URL")]
    server: Option<String>,
    /// File with the API key for --server; - reads standard input
    #[arg(long, global = true, env = "CUPEL_KEY_FILE", value_name = "FILE")]
    key_file: Option<OsString>,
    /// Certificates (PEM) to trust beside the system's, for --server
    #[arg(long, global = true, env = "CUPEL_CA_FILE", value_name = "FILE")]
    ca_file: Option<OsString>,
    /// Send the key over http to a host that is not this one
    #[arg(long, global = true)]
    insecure: bool,
    /// Data directory; a server need not run on it [default: that of the configuration, or data]
    #[arg(long, global = true, env = "CUPEL_DATA", value_name = "DIR")]
    data: Option<OsString>,
    /// Configuration file [default: DIR/cupel.toml if there is one]
    #[arg(long, global = true, env = "CUPEL_CONFIG", value_name = "FILE")]
    config: Option<OsString>,
}

/// Where a command works.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    /// On a server elsewhere.
    Server {
        url: String,
        key_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
        insecure: bool,
    },
    /// On a data directory.
    Directory {
        data: PathBuf,
        /// What a server of our own reads, if not the file in the directory.
        config: Option<PathBuf>,
    },
}

impl FromArgMatches for Reach {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let refused = |kind, line: String| Err(clap::Error::raw(kind, line));
        let (server_typed, data_typed) = (typed("server"), typed("data"));
        let written = Written::from_arg_matches(matches)?;
        if server_typed && data_typed {
            let both = "--server and --data name different things: use one of them";
            return refused(ClapError::ArgumentConflict, both.to_owned());
        }
        // What was typed wins over the environment.
        let server = written.server.filter(|url| !data_typed && !url.is_empty());
        if let Some(url) = server {
            return Ok(Self::Server {
                url,
                key_file: named(written.key_file),
                ca_file: named(written.ca_file),
                insecure: written.insecure,
            });
        }
        // Who names a key means a server, and must not change this machine's instead.
        if let Some((_, flag)) = SERVERS_OWN.into_iter().find(|(id, _)| typed(id)) {
            let line = format!("{flag} is for --server, and no server is named");
            return refused(ClapError::MissingRequiredArgument, line);
        }
        let data = named(written.data);
        if data.is_none() && data_typed {
            return refused(ClapError::InvalidValue, "--data is empty".to_owned());
        }
        let config = named(written.config);
        let data = data.unwrap_or_else(|| data_directory(config.as_deref()));
        Ok(Self::Directory { data, config })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A path; an empty variable, as compose files write them, names none.
pub(super) fn named(path: Option<OsString>) -> Option<PathBuf> {
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl Args for Reach {
    fn augment_args(command: Command) -> Command {
        Written::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Written::augment_args_for_update(command)
    }
}

impl Reach {
    /// Reaches a server, which must be there, or a directory, which must have been used.
    pub(super) fn open(&self) -> Result<Connection, Failure> {
        if let Self::Directory { data, .. } = self {
            existing(data)?;
            if !is_used(data) {
                let what = "holds no data of cupel; name the server's directory with --data";
                let line = format!("{} {what}", data.display());
                return Err(Failure::new(Failure::CONFIGURATION, line));
            }
        }
        self.open_or_make()
    }

    /// The same, and makes a directory that is missing.
    pub(super) fn open_or_make(&self) -> Result<Connection, Failure> {
        match self {
            Self::Server { .. } => self.remote(true),
            Self::Directory { data, config } => directory(data, config.as_deref()),
        }
    }

    /// A server that runs, without a key; `None` if none runs on the directory.
    pub(super) fn running(&self) -> Result<Option<Connection>, Failure> {
        match self {
            Self::Server { .. } => self.remote(false).map(Some),
            Self::Directory { data, .. } => {
                let socket = socket(existing(data)?);
                is_served(&socket)?
                    .then(|| Connection::local(&socket, None))
                    .transpose()
            }
        }
    }

    /// A server that runs already, for what makes no sense without one.
    pub(super) fn served(&self) -> Result<Connection, Failure> {
        match self {
            Self::Server { .. } => self.remote(true),
            Self::Directory { .. } => self.running()?.ok_or_else(no_server),
        }
    }

    /// Whether standard input is taken by the key.
    pub(super) fn takes_stdin(&self) -> bool {
        matches!(self, Self::Server { key_file: Some(file), .. } if file == Path::new("-"))
    }

    fn remote(&self, with_key: bool) -> Result<Connection, Failure> {
        let Self::Server {
            url,
            key_file,
            ca_file,
            insecure,
            ..
        } = self
        else {
            return Err(Failure::new(Failure::SOFTWARE, "no server is named"));
        };
        let usage = |what: String| Failure::new(Failure::USAGE, format!("--server {url}: {what}"));
        let parsed = Url::parse(url).ok().filter(|parsed| {
            matches!(parsed.scheme(), "http" | "https")
                && parsed.host().is_some()
                && parsed.query().is_none()
                && parsed.fragment().is_none()
                && parsed.username().is_empty()
                && parsed.password().is_none()
        });
        let form = "write scheme, host and port, such as https://cupel.example.com";
        let parsed = parsed.ok_or_else(|| usage(form.to_owned()))?;
        let here = is_this_host(&parsed);
        if parsed.scheme() == "http" && !here && !insecure && with_key {
            let what = "the key would cross the network in clear text; use https, a tunnel to \
                        this host, or --insecure";
            return Err(usage(what.to_owned()));
        }
        let key = match key_file {
            Some(file) if with_key => Some(key(file)?),
            None if with_key => {
                let what = "--server needs --key-file FILE, or CUPEL_KEY_FILE, with an API key";
                return Err(Failure::new(Failure::USAGE, what));
            }
            _ => None,
        };
        let trust = Trust {
            authorities: ca_file.as_deref().map(read).transpose()?,
            direct: here,
        };
        Connection::remote(&parsed, key.as_deref(), trust)
    }
}

/// Whether a URL leads to this machine.
fn is_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// A directory, which must be there.
pub(super) fn existing(data: &Path) -> Result<&Path, Failure> {
    let shown = data.display();
    // The dot asks whether what is in it may be seen.
    let (code, line) = match std::fs::metadata(data.join(".")).map_err(|error| error.kind()) {
        Ok(_) => return Ok(data),
        Err(ErrorKind::PermissionDenied) => return Err(closed(data)),
        Err(ErrorKind::NotFound) => (Failure::CONFIGURATION, format!("{shown} does not exist")),
        Err(ErrorKind::NotADirectory) => {
            (Failure::CONFIGURATION, format!("{shown} is no directory"))
        }
        Err(kind) => (Failure::IO, format!("{shown}: {kind}")),
    };
    Err(Failure::new(code, line).and("name the server's directory with --data"))
}

/// Something that only its owner may use.
fn closed(path: &Path) -> Failure {
    let shown = path.display();
    let line = format!("{shown}: permission denied; run this as its owner, such as by sudo -u");
    Failure::new(Failure::NO_PERMISSION, line)
}

/// No server runs where one must.
pub(super) fn no_server() -> Failure {
    let line = "no server runs on this data directory; start it with cupel serve";
    Failure::new(Failure::UNAVAILABLE, line)
}

/// Whether a server takes calls at a control socket.
fn is_served(socket: &Path) -> Result<bool, Failure> {
    match UnixStream::connect(socket) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(closed(socket)),
        Err(_) => Ok(false),
    }
}

fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Through the socket of the server that runs on a directory, or through one of our own.
fn directory(data: &Path, file: Option<&Path>) -> Result<Connection, Failure> {
    let socket = socket(data);
    let until = Instant::now() + IN_USE_MAX;
    loop {
        if is_served(&socket)? {
            return Connection::local(&socket, None);
        }
        match DirectoryLock::take(data) {
            Ok(lock) => {
                let config = config(data, file)?;
                telemetry::start_logs(config.log_format, "warn,actix_server=error,actix_http=off");
                let alone = Alone::start(config, lock)?;
                let socket = alone.socket().to_owned();
                return Connection::local(&socket, Some(alone));
            }
            Err(DirectoryError::InUse { .. }) if Instant::now() < until => {
                std::thread::sleep(LOOK_EVERY);
            }
            Err(error) => {
                let failure = Failure::from(error);
                return Err(match socket.as_os_str().len() {
                    // A server has none there, and says so in its log.
                    length if length > SOCKET_BYTES_MAX => failure.and(
                        "its path is too long for a control socket: name the server with --server",
                    ),
                    _ => failure,
                });
            }
        }
    }
}

/// Configuration as the server of this directory reads it, environment included.
fn config(data: &Path, file: Option<&Path>) -> Result<Config, Failure> {
    #[derive(Parser)]
    struct Environment {
        #[command(flatten)]
        flags: Flags,
    }
    let written = Environment::try_parse_from(["cupel"]);
    let written = written.map_err(|error| Failure::new(Failure::CONFIGURATION, error))?;
    let flags = Flags {
        data: Some(data.to_owned()),
        config: file.map(Path::to_owned).or(written.flags.config),
        ..written.flags
    };
    Ok(Config::load(&flags)?)
}

/// An API key out of a file.
fn key(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        let all = std::io::stdin().lock().take(FILE_BYTES_MAX);
        let read = { all }.read_to_string(&mut text);
        read.map_err(|error| Failure::no_input(file, &error))?;
        text
    } else {
        String::from_utf8_lossy(&read(file)?).into_owned()
    };
    let key = text.trim();
    let form = key.starts_with("cpl_") && key.bytes().all(|byte| byte.is_ascii_graphic());
    if form {
        return Ok(key.to_owned());
    }
    let line = format!(
        "--key-file {}: no API key there; it begins with cpl_",
        file.display()
    );
    Err(Failure::new(Failure::DATA, line))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| Failure::no_input(file, &error))?;
    Ok(bytes)
}
