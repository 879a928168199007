//! `cupel serve`.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};

use actix_web::rt;
use socket2::{Domain, Socket, Type};

use crate::app::{App, DirectoryLock, Listeners, write_key_file};
use crate::config::{Address, Config, Flags};
use crate::shutdown::Stop;
use crate::telemetry;

use super::Failure;

/// Connections that may wait to be taken: a mailing's first minute opens many at once, and one that
/// finds no room waits a second. The system's limit applies too.
const BACKLOG: i32 = 4_096;

/// Answer links, pixels and pages, and the API
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: cupel serve --data /var/lib/cupel --base-url https://t.example.com"
)]
pub(super) struct Serve {
    #[command(flatten)]
    flags: Flags,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::load(&self.flags)?;
        telemetry::start_logs(config.log_format, &config.live.log_filter);
        let lock = DirectoryLock::take(&config.data)?;
        let listeners = Listeners {
            public: bind("listen", config.listen.first().and_then(Address::tcp))?,
            control: bind("control", config.control.tcp())?,
        };
        let metrics = telemetry::start_metrics();
        rt::System::new().block_on(async {
            let data = config.data.clone();
            let app = App::build(config, lock, listeners, metrics).await?;
            announce(&app, &data).await?;
            Ok(app.serve(Stop::default()).await?)
        })
    }
}

fn bind(key: &str, address: Option<SocketAddr>) -> Result<TcpListener, Failure> {
    let address = address.ok_or_else(|| Failure::new(Failure::CONFIGURATION, key))?;
    listen(address).map_err(|error| {
        let remedy = "choose another address with the flag of that name";
        let line = format!("{key}: cannot listen on {address}: {error}; {remedy}");
        Failure::new(Failure::TEMPORARY, line)
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Not SO_REUSEPORT: a second server on a port must be told, not share its connections.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Prints a line; nobody may be reading it.
fn say(line: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        tracing::debug!(%error, line, "serve: standard output is closed");
    }
}

/// Says where everything is, on standard output, and hands over the first API key.
async fn announce(app: &App, data: &std::path::Path) -> Result<(), Failure> {
    let (public, control) = app.addresses().map_err(anyhow::Error::from)?;
    say(&format!("cupel {} serves", env!("CARGO_PKG_VERSION")));
    let base_url = app.base_url();
    say(&format!(
        "  public   http://{public}  (links begin with {base_url})"
    ));
    say(&format!("  control  http://{control}/api/v1"));
    say(&format!("  data     {}", data.display()));
    match app.first_key().await {
        Ok(Some(key)) if std::io::stdout().is_terminal() => {
            say(&format!("  first API key, shown this once: {}", key.text()));
        }
        Ok(Some(key)) => {
            let path = write_key_file(data, &key).map_err(anyhow::Error::from)?;
            say(&format!("  first API key is in {}", path.display()));
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "serve: no first API key; see `cupel keys create`"),
    }
    say("  ready");
    Ok(())
}
