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
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
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
    let named = format!("{method} {route}");
    span.context().span().update_name(named);
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::telemetry::{RequestId, RequestSpan};

    /// Takes one request, and returns its first line and body.
    fn collect(listener: &TcpListener) -> (String, Vec<u8>) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).unwrap();
        (first, body)
    }

    #[test]
    fn a_collector_gets_requests_within_their_callers_trace_and_nothing_of_others() {
        const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (first, body) = std::thread::scope(|scope| {
            let collector = scope.spawn(|| collect(&listener));
            let traces = Traces::to(&url).unwrap();
            let subscriber = tracing_subscriber::registry().with(traces.layer());
            tracing::subscriber::with_default(subscriber, || {
                let span = RequestSpan::begin(&RequestId::of(Some(b"r-1")), Some(PARENT));
                span.span().in_scope(|| {
                    tracing::info_span!("settle").in_scope(|| tracing::info!("a line"));
                    tracing::info_span!(target: "sqlx::query", "theirs").in_scope(|| {});
                });
                span.answered("GET", "/api/v1/campaigns/{id}", 503);
            });
            drop(traces);
            collector.join().unwrap()
        });
        assert_eq!(first.trim(), "POST /v1/traces HTTP/1.1");
        let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
        let parent = TraceParent::parse(PARENT).unwrap();
        assert!(has(&parent.trace) && has(&parent.parent));
        for part in [
            "cupel",
            "GET /api/v1/campaigns/{id}",
            "http.response.status_code",
            "r-1",
            "settle",
        ] {
            assert!(
                has(part.as_bytes()),
                "{part} in {}",
                String::from_utf8_lossy(&body)
            );
        }
        assert!(!has(b"theirs") && !has(b"a line"));
    }

    #[test]
    fn what_is_no_url_is_refused_in_one_line() {
        let error = Traces::to("collector 4318").unwrap_err().to_string();
        assert!(
            error.contains("collector 4318") && error.lines().count() == 1,
            "{error}"
        );
    }
}
