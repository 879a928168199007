//! Calls to a server, and what its refusals come to: one line and an exit code.

use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::tls::Certificate;
use serde_json::Value;
use url::Url;

use crate::app::Alone;

use super::Failure;

/// Longest that a call takes: a large template, or a hundred thousand messages.
const CALL_MAX: Duration = Duration::from_secs(120);
/// Longest until a server is reached, and until it has said whether it is well.
const REACH_MAX: Duration = Duration::from_secs(10);
/// Largest answer that is read: a hundred thousand messages with a tag for each of many links.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// How a server elsewhere is trusted and found.
pub(super) struct Trust {
    /// Certificates in PEM, beside the system's.
    pub(super) authorities: Option<Vec<u8>>,
    /// No proxy stands between.
    pub(super) direct: bool,
}

/// A server that takes calls.
pub(super) struct Connection {
    client: Client,
    base: Url,
    key: Option<String>,
    place: String,
    _alone: Option<Alone>,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    method: Method,
    /// Parts of the path after `/api/v1`.
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<&'a Value>,
    /// What it is about, for errors.
    about: Option<String>,
    /// Arguments whose names are not those of the body's members.
    named: &'static [(&'static str, &'static str)],
    /// Longest that it may take, if not as long as every call.
    within: Option<Duration>,
}

impl<'a> Request<'a> {
    pub(super) fn new<S: ToString>(method: Method, path: impl IntoIterator<Item = S>) -> Self {
        Self {
            method,
            path: path.into_iter().map(|part| part.to_string()).collect(),
            query: Vec::new(),
            body: None,
            about: None,
            named: &[],
            within: None,
        }
    }

    pub(super) fn get<S: ToString>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post<S: ToString>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn patch<S: ToString>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(super) fn body(self, body: &'a Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query
            .extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(super) fn about(self, about: impl ToString) -> Self {
        Self {
            about: Some(about.to_string()),
            ..self
        }
    }

    pub(super) fn within(self, within: Duration) -> Self {
        Self {
            within: Some(within),
            ..self
        }
    }

    pub(super) fn naming(self, named: &'static [(&'static str, &'static str)]) -> Self {
        Self { named, ..self }
    }

    /// The argument that a pointer into the body or query is about.
    fn argument(&self, pointer: &str) -> String {
        let named = self.named.iter().find(|(member, _)| *member == pointer);
        match (named, pointer.strip_prefix('/')) {
            (Some((_, argument)), _) => (*argument).to_owned(),
            (None, Some(member)) if !member.contains('/') => {
                format!("--{}", member.replace('_', "-"))
            }
            _ => pointer.to_owned(),
        }
    }
}

impl Connection {
    /// Through the control socket of a server, `alone` being it if it is our own.
    pub(super) fn local(socket: &Path, alone: Option<Alone>) -> Result<Self, Failure> {
        let client = without_roots().unix_socket(socket).no_proxy();
        let base = Url::parse("http://localhost/");
        let base = base.map_err(|error| Failure::new(Failure::SOFTWARE, error))?;
        Ok(Self {
            client: built(client)?,
            base,
            key: None,
            place: socket.display().to_string(),
            _alone: alone,
        })
    }

    /// To a server elsewhere.
    pub(super) fn remote(url: &Url, key: Option<&str>, trust: Trust) -> Result<Self, Failure> {
        let mut client = match url.scheme() {
            "http" => without_roots(),
            _ => Client::builder(),
        };
        if let Some(pem) = trust.authorities {
            let wrong = |why: String| Failure::new(Failure::DATA, format!("--ca-file: {why}"));
            let all = Certificate::from_pem_bundle(&pem);
            let all = all.map_err(|error| wrong(said(&error)))?;
            if all.is_empty() {
                return Err(wrong("no certificate in PEM there".to_owned()));
            }
            client = client.tls_certs_merge(all);
        }
        if trust.direct {
            client = client.no_proxy();
        }
        Ok(Self {
            client: built(client)?,
            base: url.clone(),
            key: key.map(str::to_owned),
            place: url.to_string(),
            _alone: None,
        })
    }

    /// What the server says to an acceptable call.
    pub(super) fn call(&self, request: &Request<'_>) -> Result<Value, Failure> {
        let answer = self.read(request)?;
        let read = serde_json::from_slice(&answer);
        read.map_err(|_| self.not_ours(200))
    }

    /// The same, as it came: for answers that are large.
    pub(super) fn read(&self, request: &Request<'_>) -> Result<Vec<u8>, Failure> {
        let under = ["api".to_owned(), "v1".to_owned()];
        let path: Vec<_> = under.iter().chain(&request.path).collect();
        let (status, answer) = self.send(request, &path)?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(self.refused(request, status, &answer))
    }

    /// What the server says of its health.
    pub(super) fn ready(&self) -> Result<Value, Failure> {
        let (status, answer) = self.send(
            &Request::get(["readyz"])
                .with("verbose", Some(1))
                .within(REACH_MAX),
            &["readyz"],
        )?;
        let read = serde_json::from_slice(&answer);
        read.map_err(|_| self.not_ours(status))
    }

    /// Hears whether the server answers at all.
    pub(super) fn lives(&self) -> Result<(), Failure> {
        match self.send(&Request::get(["livez"]).within(REACH_MAX), &["livez"])? {
            (200, answer) if answer == b"ok\n" => Ok(()),
            (status, _) => Err(self.not_ours(status)),
        }
    }

    fn send<S: AsRef<str>>(
        &self,
        request: &Request<'_>,
        path: &[S],
    ) -> Result<(u16, Vec<u8>), Failure> {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut sent = self.client.request(request.method.clone(), url);
        if let Some(body) = request.body {
            sent = sent.json(body);
        }
        if let Some(within) = request.within {
            sent = sent.timeout(within);
        }
        if let Some(key) = &self.key {
            sent = sent.bearer_auth(key);
        }
        let answer = sent.send().map_err(|error| self.away(said(&error)))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let read = answer.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.away(said(&error)))?;
        if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes <= ANSWER_BYTES_MAX) {
            return Ok((status, bytes));
        }
        let line = format!("{}: answered with more than 256 MiB", self.place);
        Err(Failure::new(Failure::PROTOCOL, line))
    }

    /// An answer that no cupel gives: a proxy may stand before it, and say so in its own way.
    fn not_ours(&self, status: u16) -> Failure {
        let place = &self.place;
        match status {
            502 | 504 => self.away(format!("answered {status}")),
            503 => Failure::new(Failure::TEMPORARY, format!("{place}: answered 503")),
            _ => {
                let what = "answered without JSON of cupel; is this its control address?";
                Failure::new(
                    Failure::PROTOCOL,
                    format!("{place}: {what} (status {status})"),
                )
            }
        }
    }

    fn away(&self, why: String) -> Failure {
        Failure::new(Failure::UNAVAILABLE, format!("{}: {why}", self.place))
    }

    fn refused(&self, request: &Request<'_>, status: u16, answer: &[u8]) -> Failure {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let Some(detail) = text("detail") else {
            return self.not_ours(status);
        };
        let code = match status {
            401 | 403 => Failure::NO_PERMISSION,
            404 => Failure::NO_INPUT,
            408 | 503 => Failure::TEMPORARY,
            500.. => Failure::SOFTWARE,
            _ => Failure::DATA,
        };
        let at = text("pointer").filter(|pointer| !pointer.is_empty());
        let at = at.map(|pointer| request.argument(pointer));
        let about = request.about.clone();
        let about = about.filter(|about| !detail.starts_with(about.as_str()));
        let parts = [about, at, Some(detail.to_owned())];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        // A configuration's mistakes come in a line each.
        let line = parts.join(": ");
        Failure { code, line }
    }
}

/// For what speaks no TLS: a container or an empty root has no certificates of authorities, and the
/// system's are asked for when the client is built.
fn without_roots() -> ClientBuilder {
    Client::builder().tls_certs_only([])
}

fn built(client: ClientBuilder) -> Result<Client, Failure> {
    let client = client
        .timeout(CALL_MAX)
        .connect_timeout(REACH_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("cupel/", env!("CARGO_PKG_VERSION")));
    client
        .build()
        .map_err(|error| Failure::new(Failure::SOFTWARE, said(&error)))
}

/// The last cause of an error, which says most.
fn said(error: &dyn Error) -> String {
    let mut cause = error.source();
    let mut line = error.to_string();
    while let Some(deeper) = cause {
        line = deeper.to_string();
        cause = deeper.source();
    }
    line
}
