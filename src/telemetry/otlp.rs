//! Traces by OTLP over HTTP: spans of control requests and of rounds of settling, in batches, from
//! a thread of the exporter's own. A collector that is away costs spans and nothing else.

use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::request::TraceParent;

/// Name of the service in traces.
const SERVICE: &str = "cupel";

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to {endpoint}: {source}; write http://HOST:4318/v1/traces")]
pub struct TracesError {
    endpoint: String,
    source: ExporterBuildError,
}

/// Sends spans to a collector; what has not been sent is, when this is dropped.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// To the collector whose whole URL this is, `/v1/traces` included.
    pub(super) fn to(endpoint: &str) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|source| TracesError {
                endpoint: endpoint.to_owned(),
                source,
            })?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(SERVICE)
            .with_attribute(version);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter);
        Ok(Self {
            provider: provider.build(),
        })
    }

    /// What hands our own spans over; libraries' spans and log lines are not sent.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_filter(filter_fn(|about| {
                about.is_span() && about.target().starts_with(SERVICE)
            }))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "telemetry: the last traces were not sent");
        }
    }
}

/// Takes over the trace that a caller's request belongs to.
pub(super) fn set_parent(span: &Span, from: TraceParent) {
    let context = SpanContext::new(
        TraceId::from_bytes(from.trace),
        SpanId::from_bytes(from.parent),
        TraceFlags::new(from.flags),
        true,
        TraceState::default(),
    );
    let parent = Context::new().with_remote_span_context(context);
    if let Err(error) = span.set_parent(parent) {
        tracing::debug!(%error, "telemetry: a trace was not taken over");
    }
}

/// Says of a request what OpenTelemetry's conventions for HTTP servers want.
pub(super) fn set_answer(span: &Span, method: &str, route: &str, status: u16) {
    span.set_attribute("otel.name", format!("{method} {route}"));
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}
