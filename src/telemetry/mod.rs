//! Log lines on standard error, ids of requests, traces, and what the exported metrics are called.

mod lines;
#[cfg(feature = "otlp")]
mod otlp;
mod panics;
mod request;
mod series;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

pub use lines::is_hostile;
#[cfg(feature = "otlp")]
pub use otlp::{Traces, TracesError};
pub use panics::panics;
pub use request::{RequestId, RequestSpan};
pub use series::{Kind, METRICS, Metric};

/// What is logged, while the process runs.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Starts logging. Called once; a second call (tests in one process) changes nothing.
pub fn start_logs(format: LogFormat, filter: &str) {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = subscriber(format, filter, std::io::stderr, terminal).try_init();
    if started.is_err() {
        tracing::debug!("telemetry: logging was started before");
    }
    panics::count();
}

/// Starts logging, and sends spans of control requests and rounds of settling to a collector.
/// They are sent as long as what is returned is kept.
///
/// # Errors
/// The endpoint is no URL.
#[cfg(feature = "otlp")]
pub fn start_logs_and_traces(
    format: LogFormat,
    filter: &str,
    endpoint: &str,
) -> Result<Traces, TracesError> {
    let traces = Traces::to(endpoint)?;
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = subscriber(format, filter, std::io::stderr, terminal)
        .with(traces.layer())
        .try_init();
    if started.is_err() {
        tracing::debug!("telemetry: logging was started before");
    }
    panics::count();
    Ok(traces)
}

/// What turns events into lines. Spans are known to it whatever the filter says of events.
fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    writer: W,
    colours: bool,
) -> impl Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a> + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    // The first is the process's; tests may make more.
    FILTER.get_or_init(|| handle);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines
            .fmt_fields(lines::text_fields())
            .with_target(false)
            .with_ansi(colours)
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => lines
            .json()
            .event_format(lines::JsonLines)
            .with_filter(filter)
            .boxed(),
    };
    tracing_subscriber::registry().with(lines)
}

/// Logs what another filter lets through from now on.
pub fn set_filter(filter: &str) {
    let changed = FILTER.get().map(|handle| {
        let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
        handle.reload(filter)
    });
    if let Some(Err(error)) = changed {
        tracing::warn!(%error, "telemetry: kept the old filter");
    }
}

/// Starts the metrics recorder of this process; `None` if one was started before.
#[must_use]
pub fn start_metrics() -> Option<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(bounds) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, bounds).ok()?;
        }
    }
    let handle = builder.install_recorder().ok()?;
    for metric in METRICS {
        metric.begin();
    }
    metrics::gauge!("cupel_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    Some(handle)
}
