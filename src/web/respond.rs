//! Answers of the public listener, each with the headers that it must carry.

use actix_http::Response;
use actix_http::body::BoxBody;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::Bytes;

/// A transparent GIF of one pixel, 43 bytes.
const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\
\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const GIF: HeaderValue = HeaderValue::from_static("image/gif");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// 302 for a GET, 303 after a POST; `None` if the URL cannot stand in a header, which a
/// registered destination always can.
fn redirect(status: StatusCode, location: Option<HeaderValue>) -> Response<BoxBody> {
    let Some(location) = location else {
        return text(StatusCode::NOT_FOUND, "not found").into();
    };
    let mut answer = Response::new(status);
    let headers = answer.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    answer
}

/// The answer of a content link.
pub(super) fn found(url: &str) -> Response<BoxBody> {
    redirect(StatusCode::FOUND, HeaderValue::from_str(url).ok())
}

/// The answer of a short link, whose URL is not copied.
pub(super) fn found_shared(url: Bytes) -> Response<BoxBody> {
    let shared = url.is_ascii().then(|| HeaderValue::from_maybe_shared(url));
    redirect(StatusCode::FOUND, shared.and_then(Result::ok))
}

/// The answer of a press.
pub(super) fn see_other(url: &str) -> HttpResponse {
    redirect(StatusCode::SEE_OTHER, HeaderValue::from_str(url).ok()).into()
}

/// The open pixel.
pub(super) fn pixel() -> Response<BoxBody> {
    let mut answer = Response::with_body(StatusCode::OK, BoxBody::new(PIXEL.as_slice()));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, GIF);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    answer
}

/// Refuses a speculative request so that the click behind it comes as a request of its own.
/// Measured in docs/decisions/0001-refused-prefetch-status.md.
pub(super) fn too_early() -> HttpResponse {
    let too_early = StatusCode::from_u16(425).unwrap_or(StatusCode::FORBIDDEN);
    text(too_early, "not before it is clicked")
}

/// A method that this URL does not take.
pub(super) fn not_allowed(allow: &'static str) -> HttpResponse {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: &'static str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((CACHE_CONTROL, NO_STORE))
        .insert_header((X_CONTENT_TYPE_OPTIONS, NOSNIFF))
        .body(line)
}

/// A page in a language, under a content security policy. With `no-referrer` its form would post
/// `Origin: null`.
pub(super) fn page(
    status: StatusCode,
    html: Bytes,
    policy: HeaderValue,
    language: HeaderValue,
) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_LANGUAGE, language))
        .insert_header((header::VARY, "Accept-Language"))
        .insert_header((CACHE_CONTROL, NO_STORE))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((REFERRER_POLICY, SAME_ORIGIN))
        .insert_header((X_CONTENT_TYPE_OPTIONS, NOSNIFF))
        .body(html)
}

/// Keeps a page that a link led to out of search engines.
pub(super) fn unlisted(mut page: HttpResponse) -> HttpResponse {
    let robots = HeaderValue::from_static("noindex, nofollow");
    page.headers_mut().insert(X_ROBOTS_TAG, robots);
    page
}

/// A file of the host's own.
pub(super) fn asset(kind: &'static str, bytes: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, NOSNIFF))
        .body(bytes.into())
}

/// What an ACME authority asked for (RFC 8555, 8.3).
pub(super) fn acme_answer(answer: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((CACHE_CONTROL, NO_STORE))
        .body(answer)
}
