//! The one place where errors become status codes: problem+json (RFC 9457) with a JSON pointer.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::journal::JournalError;
use crate::resolve::KeyRingError;
use crate::store::{Scope, StoreError};

use super::nodes::ShareError;
use super::requests;
use super::unread::Unread;

/// Why a control request was refused.
#[derive(Debug)]
pub(super) enum WebError {
    /// A member of the body, or a parameter of the query, is not acceptable.
    Invalid { pointer: String, detail: String },
    /// The configuration is refused.
    Configuration(ConfigError),
    /// The path takes other methods.
    Method,
    /// There is nothing at this path.
    NotFound(&'static str),
    /// It collides with what is there.
    Conflict { pointer: String, detail: String },
    /// No valid API key came with the request.
    Unauthorised(&'static str),
    /// The key's scope does not reach.
    Scope(Scope),
    /// Store or journal cannot take it now.
    Unavailable(String),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// For so long nothing more of the body came, or not all of it.
    Late(Duration),
    /// So it is, and the rest of the body is not read any more.
    Unread(Box<Self>, Unread),
    /// Our own fault.
    Internal(String),
}

impl WebError {
    pub(super) fn invalid(pointer: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::Invalid {
            pointer: pointer.into(),
            detail: detail.to_string(),
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "The request is not acceptable",
            Self::Configuration(_) => "The configuration is refused",
            Self::NotFound(_) => "There is no such thing",
            Self::Method => "Another method is needed",
            Self::Conflict { .. } => "It collides with what is there",
            Self::Unauthorised(_) => "An API key is needed",
            Self::Scope(_) => "The API key does not reach that far",
            Self::Unavailable(_) => "Not possible at the moment",
            Self::TooLarge(_) => "The body is too large",
            Self::Unread(why, _) => why.title(),
            Self::Late(_) => "The body came too slowly",
            Self::Internal(_) => "Something is wrong with Cupel",
        }
    }

    fn pointer(&self) -> Option<&str> {
        match self {
            Self::Invalid { pointer, .. } | Self::Conflict { pointer, .. } => Some(pointer),
            Self::Unread(why, _) => why.pointer(),
            _ => None,
        }
    }
}

impl fmt::Display for WebError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { detail, .. } | Self::Conflict { detail, .. } => out.write_str(detail),
            Self::Configuration(error) => error.fmt(out),
            Self::Method => out.write_str("this path takes other methods"),
            Self::NotFound(what) => write!(out, "no such {what}"),
            Self::Unauthorised(why) => out.write_str(why),
            Self::Scope(needed) => write!(out, "this needs a key of scope {}", needed.name()),
            Self::Unavailable(why) => out.write_str(why),
            Self::TooLarge(limit) => write!(out, "at most {limit} bytes are taken"),
            Self::Unread(why, _) => why.fmt(out),
            Self::Late(time) => {
                let seconds = time.as_secs();
                write!(out, "{seconds} s went by without the rest of the body")
            }
            Self::Internal(_) => out.write_str("see the server's log"),
        }
    }
}

impl ResponseError for WebError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } | Self::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Unauthorised(_) => StatusCode::UNAUTHORIZED,
            Self::Scope(_) => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unread(why, _) => why.status_code(),
            Self::Late(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Internal(why) = self {
            tracing::error!(%why, "web: internal error");
        }
        let mut problem = json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.status_code().as_u16(),
            "detail": self.to_string(),
        });
        if let (Some(pointer), Some(object)) = (self.pointer(), problem.as_object_mut()) {
            let errors = json!([{"pointer": pointer, "detail": self.to_string()}]);
            object.insert("pointer".to_owned(), Value::from(pointer));
            object.insert("errors".to_owned(), errors);
        }
        if let (Some(id), Some(object)) = (requests::current_id(), problem.as_object_mut()) {
            object.insert("request_id".to_owned(), Value::from(id));
        }
        let mut answer = HttpResponse::build(self.status_code());
        answer.insert_header((CONTENT_TYPE, "application/problem+json"));
        answer.insert_header(("cache-control", "no-store"));
        match self {
            Self::Unauthorised(_) => {
                answer.insert_header(("www-authenticate", "Bearer"));
            }
            Self::Unavailable(_) => {
                answer.insert_header((RETRY_AFTER, "2"));
            }
            Self::Unread(_, rest) => return answer.body(rest.behind(problem.to_string())),
            _ => {}
        }
        answer.body(problem.to_string())
    }
}

impl From<ConfigError> for WebError {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict {
                pointer: String::new(),
                detail: format!("{what} exists already"),
            },
            StoreError::TooMany { .. } => Self::invalid("", error),
            StoreError::Unreadable(_) | StoreError::Position { .. } => {
                Self::Internal(error.to_string())
            }
            other => {
                tracing::warn!(error = %other, "web: the store did not answer a control request");
                Self::Unavailable("the store is not available; links go on working".to_owned())
            }
        }
    }
}

impl From<JournalError> for WebError {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "web: the journal did not take an event");
        Self::Unavailable("the journal cannot be written".to_owned())
    }
}

impl From<ShareError> for WebError {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Store(error) => error.into(),
            ShareError::Ring(error) => error.into(),
            ShareError::Sealed => Self::Internal(error.to_string()),
            ShareError::Meanwhile => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<KeyRingError> for WebError {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Unknown(_) => Self::NotFound("key"),
            KeyRingError::Full | KeyRingError::Signs(_) | KeyRingError::Backwards(_) => {
                Self::Conflict {
                    pointer: String::new(),
                    detail: error.to_string(),
                }
            }
            KeyRingError::Io { .. } | KeyRingError::Form { .. } => {
                Self::Internal(error.to_string())
            }
        }
    }
}

/// Answers a method that a path does not take.
pub(super) async fn wrong_method() -> HttpResponse {
    WebError::Method.error_response()
}

/// Answers whatever no route takes.
pub(super) async fn no_route() -> HttpResponse {
    WebError::NotFound("route; the API is under /api/v1").error_response()
}
