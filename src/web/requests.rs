//! Every control request: its id, its line in the log, its metrics. Keys, queries and addresses
//! stand in none of them.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use metrics::{Histogram, counter, histogram};
use tracing::Instrument as _;

use crate::telemetry::{RequestId, RequestSpan};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Routes of the API begin with it.
const API: &str = "/api/v1/";
/// What is none of the routes.
const OTHER: &str = "other";

/// Routes as metrics name them; one that is missing here is counted as `other`.
const ROUTES: &[&str] = &[
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/campaigns",
    "/api/v1/campaigns/{id}",
    "/api/v1/campaigns/{id}/archive",
    "/api/v1/campaigns/{id}/links",
    "/api/v1/campaigns/{id}/links/{number}",
    "/api/v1/campaigns/{id}/links/{number}/disable",
    "/api/v1/campaigns/{id}/rewrite",
    "/api/v1/campaigns/{id}/mint",
    "/api/v1/campaigns/{id}/numbers",
    "/api/v1/campaigns/{id}/stats",
    "/api/v1/short-links",
    "/api/v1/short-links/{code}",
    "/api/v1/short-links/{code}/disable",
    "/api/v1/short-links/{code}/stats",
    "/api/v1/events",
    "/api/v1/events/{id}",
    "/api/v1/events/{id}/explain",
    "/api/v1/deliveries",
    "/api/v1/rulesets",
    "/api/v1/rulesets/{name}",
    "/api/v1/rulesets/{name}/use",
    "/api/v1/rulesets/{name}/shadow",
    "/api/v1/rulesets/{name}/shadow/stop",
    "/api/v1/rejudgements",
    "/api/v1/rejudgements/{id}",
    "/api/v1/rejudgements/{id}/stop",
    "/api/v1/calibration",
    "/api/v1/config",
    "/api/v1/config/reload",
    "/api/v1/probes",
    "/api/v1/probes/{token}",
    "/api/v1/keys",
    "/api/v1/keys/{id}/revoke",
    "/api/v1/key-ring",
    "/api/v1/nodes",
    "/api/v1/nodes/{id}/forget",
    "/api/v1/key-ring/rotate",
    "/api/v1/key-ring/{id}",
];

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Id of the request that is being answered, if one is.
pub(super) fn current_id() -> Option<String> {
    CURRENT.try_with(|id| id.as_str().to_owned()).ok()
}

/// Exports every series from the start: one that comes with its first event has no rate before
/// the second.
pub(super) fn begin() {
    for route in ROUTES.iter().chain([&OTHER]) {
        counter!("cupel_api_requests_total", "route" => *route).increment(0);
    }
    for status in ["2xx", "4xx", "5xx"] {
        counter!("cupel_api_responses_total", "status" => status).increment(0);
    }
}

fn duration() -> Histogram {
    histogram!("cupel_api_request_duration_seconds")
}

/// Watches over one request.
pub(super) async fn watch(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let sent = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let id = RequestId::of(sent(X_REQUEST_ID));
    let span = RequestSpan::begin(&id, sent(HeaderName::from_static("traceparent")));
    let method = request.method().clone();
    let answering = CURRENT.scope(id.clone(), next.call(request));
    let mut answer = answering.instrument(span.span()).await?;
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        answer.headers_mut().insert(X_REQUEST_ID, id);
    }
    let pattern = answer.request().match_pattern();
    let known = ROUTES
        .iter()
        .find(|route| pattern.as_deref() == Some(**route));
    let route = known.copied().unwrap_or(OTHER);
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    counter!("cupel_api_requests_total", "route" => route).increment(1);
    counter!("cupel_api_responses_total", "status" => class(status)).increment(1);
    if route.starts_with(API) {
        duration().record(took);
    }
    span.answered(method.as_str(), route, status);
    let _within = span.span().entered();
    let ms = f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1e3;
    if route.starts_with(API) || status >= 400 {
        tracing::info!(ms, "web: answered");
    } else {
        // Asked every few seconds by machines.
        tracing::debug!(ms, "web: answered");
    }
    Ok(answer)
}

fn class(status: u16) -> &'static str {
    match status {
        ..400 => "2xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
