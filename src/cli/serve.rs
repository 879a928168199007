//! `cupel serve`.

use std::io::{IsTerminal, Write};

use actix_web::rt;

use crate::app::{App, DirectoryLock, outlive_signals, write_key_file};
use crate::config::{Config, Flags};
use crate::listen::Listeners;
use crate::shutdown::Stop;
use crate::telemetry;
use crate::web::NewKey;

use super::Failure;

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
        // Signals are heard by it, first of all.
        let system = rt::System::new();
        system.block_on(async { outlive_signals() });
        let config = Config::load(&self.flags)?;
        let _traces = start_logs(&config)?;
        raise_file_limit();
        let lock = DirectoryLock::take(&config.data)?;
        let bound = Listeners::bind(&config);
        let listeners = bound.map_err(|error| Failure::new(Failure::TEMPORARY, error))?;
        let metrics = telemetry::start_metrics();
        system.block_on(async {
            let (data, shared) = (config.data.clone(), config.store.is_some());
            let role = config.role.name();
            let app = App::build(config, lock, listeners, metrics).await?;
            if shared {
                let node = app.journal().edge();
                tracing::info!(%node, role, "serve: one of those that share the store");
            }
            announce(&app, &data).await;
            app.serve(Stop::default(), || say("  ready")).await?;
            tracing::info!("serve: stopped");
            Ok(())
        })
    }
}

/// Starts logging, and sends traces where it is told to, as long as what is returned is kept.
#[cfg(feature = "otlp")]
fn start_logs(config: &Config) -> Result<Option<telemetry::Traces>, Failure> {
    let (format, filter) = (config.log_format, &config.live.log_filter);
    let Some(endpoint) = &config.otlp_endpoint else {
        telemetry::start_logs(format, filter);
        return Ok(None);
    };
    let started = telemetry::start_logs_and_traces(format, filter, endpoint);
    let traces = started.map_err(|error| Failure::new(Failure::CONFIGURATION, error))?;
    Ok(Some(traces))
}

/// Starts logging; there are no traces in this binary.
#[cfg(not(feature = "otlp"))]
fn start_logs(config: &Config) -> Result<Option<std::convert::Infallible>, Failure> {
    telemetry::start_logs(config.log_format, &config.live.log_filter);
    Ok(None)
}

/// Allows as many files, which connections are too, as the system lets us: the lower limit that is
/// set at first is for programs that count them in small tables.
fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "serve: the number of connections stays limited");
    }
}

/// Prints a line; nobody may be reading it.
fn say(line: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        tracing::debug!(%error, line, "serve: standard output is closed");
    }
}

/// Says where everything is, on standard output, and hands over the first API key.
async fn announce(app: &App, data: &std::path::Path) {
    say(&format!("cupel {} serves", env!("CARGO_PKG_VERSION")));
    let base_url = app.base_url();
    for listener in &app.listeners().public {
        say(&format!(
            "  public   {listener}  (links begin with {base_url})"
        ));
    }
    for listener in &app.listeners().control {
        say(&format!("  control  {listener}/api/v1"));
    }
    say(&format!("  data     {}", data.display()));
    let hand_over = |key: &NewKey| {
        if std::io::stdout().is_terminal() {
            return Ok(format!(", shown this once: {}", key.text()));
        }
        Ok(format!(" is in {}", write_key_file(data, key)?.display()))
    };
    match app.first_key(hand_over).await {
        Ok(Some(place)) => say(&format!("  first API key{place}")),
        Ok(None) => {}
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "serve: no first API key; see `cupel keys create`");
        }
    }
}
