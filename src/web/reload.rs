//! Taking over a changed configuration: whole, or not at all.

use std::sync::{Arc, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::OwnedMutexGuard;

use crate::config::{Config, ConfigError, Value, keys};
use crate::domain::time::Micros;
use crate::telemetry;

use super::Parts;
use super::pages::Pages;

/// What became of a configuration that was read again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reloaded {
    /// Keys whose new values are in force.
    pub changed: Vec<&'static str>,
    /// Keys whose new values take force at the next start.
    pub restart: Vec<&'static str>,
}

/// The configuration as it was last read.
#[derive(Debug)]
pub struct LastReload {
    /// When it was last read well.
    pub at: Micros,
    /// Why the last reading was refused, if it was.
    pub refused: Option<ConfigError>,
    /// Keys that wait for the next start.
    pub restart: Vec<&'static str>,
    values: Vec<Value>,
}

impl LastReload {
    /// Of a start at `at`.
    #[must_use]
    pub fn at_start(config: &Config, at: Micros) -> Self {
        Self {
            at,
            refused: None,
            restart: Vec::new(),
            values: config.values.clone(),
        }
    }
}

impl LastReload {
    /// Every key with its value, in the order of [`keys`].
    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// Whoever has it may read the configuration again; nobody else does meanwhile.
#[derive(Debug)]
pub struct ReloadTurn {
    _held: OwnedMutexGuard<()>,
}

impl Parts {
    /// Waits until nobody else reads the configuration again.
    pub async fn reload_turn(&self) -> ReloadTurn {
        let _held = Arc::clone(&self.reloading).lock_owned().await;
        ReloadTurn { _held }
    }

    /// The configuration as it was last read.
    pub fn last_reload(&self) -> MutexGuard<'_, LastReload> {
        let last = self.last_reload.lock();
        last.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads flags, environment and file again, and takes over what may change while the server
    /// runs. That may hang, on a disk or on a name: meanwhile the last reading can be looked at.
    ///
    /// # Errors
    /// Everything that is wrong; then nothing has changed.
    pub fn reload(&self, _turn: ReloadTurn) -> Result<Reloaded, ConfigError> {
        let read = self.config.load_again().and_then(|config| {
            let pages = Pages::new(&config.live);
            pages
                .map(|pages| (config, pages))
                .map_err(|_| ConfigError(Vec::new()))
        });
        let mut last = self.last_reload();
        let (config, pages) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "web: kept the old configuration");
                last.refused = Some(error.clone());
                export_reload(last.at, false);
                return Err(error);
            }
        };
        let reloaded = compare(&last.values, &config.values, &self.config.values);
        self.live.store(Arc::new(config.live));
        self.pages.store(Arc::new(pages));
        telemetry::set_filter(&self.live.load().log_filter);
        last.at = self.clock.now();
        export_reload(last.at, true);
        last.refused = None;
        last.restart.clone_from(&reloaded.restart);
        last.values = config.values;
        let (changed, restart) = (reloaded.changed.join(", "), reloaded.restart.join(", "));
        tracing::info!(changed, restart, "web: took over the configuration");
        Ok(reloaded)
    }
}

/// Exports when the configuration was last taken over, and whether the last reading was.
pub fn export_reload(at: Micros, taken_over: bool) {
    metrics::gauge!("cupel_config_last_reload_successful").set(u8::from(taken_over));
    let seconds = f64::from(at.seconds());
    metrics::gauge!("cupel_config_last_reload_success_timestamp_seconds").set(seconds);
}

/// What changed since it was last read, and what is other than at the start.
fn compare(last: &[Value], now: &[Value], start: &[Value]) -> Reloaded {
    let mut reloaded = Reloaded::default();
    for (((key, last), now), start) in keys().iter().zip(last).zip(now).zip(start) {
        if key.reloaded && !last.says_the_same(now) {
            reloaded.changed.push(now.key);
        }
        if !key.reloaded && !start.says_the_same(now) {
            reloaded.restart.push(now.key);
        }
    }
    reloaded
}
