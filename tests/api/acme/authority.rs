//! An ACME authority (RFC 8555) that signs for whoever answers its challenges, as Pebble does: it
//! looks at the given ports instead of 443 and 80, and takes each nonce once.

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::look::{get, handshake};

/// Days that certificates are valid, before and after now.
type Days = (i64, i64);

pub(super) struct Authority {
    pub directory: String,
    /// The certificate that signs the others, in a file.
    pub root: PathBuf,
    state: Arc<Mutex<State>>,
    handle: ServerHandle,
    _own: tempfile::TempDir,
}

struct State {
    base: String,
    issuer: Issuer<'static, KeyPair>,
    ports: [u16; 2],
    days: Days,
    nonces: (u64, HashSet<String>),
    /// Accounts that it knows.
    accounts: usize,
    thumbprint: String,
    hosts: Vec<String>,
    /// Of each host: the challenge that it says is answered.
    asked: Vec<Option<String>>,
    /// Of each host: whether it was found, or why not.
    looked: Vec<Option<Result<(), String>>>,
    certificate: Option<String>,
    issued: usize,
}

impl Authority {
    /// Looks at these ports for TLS and HTTP.
    pub(super) fn start(ports: [u16; 2], days: Days) -> Self {
        let own = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let root = own.path().join("root.pem");
        std::fs::write(&root, certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let own_params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = own_params.signed_by(&key, &issuer).unwrap();
        let secret = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let state = Arc::new(Mutex::new(State {
            base: base.clone(),
            issuer,
            ports,
            days,
            nonces: (0, HashSet::new()),
            accounts: 0,
            thumbprint: String::new(),
            hosts: Vec::new(),
            asked: Vec::new(),
            looked: Vec::new(),
            certificate: None,
            issued: 0,
        }));
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let shared = web::Data::from(Arc::clone(&state));
        std::thread::spawn(move || {
            rt::System::new().block_on(async move {
                let app = move || {
                    App::new()
                        .app_data(shared.clone())
                        .default_service(web::to(answer))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.listen_rustls_0_23(listener, tls).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self {
            directory: format!("{base}/directory"),
            root,
            state,
            handle: told.recv().unwrap(),
            _own: own,
        }
    }

    /// Certificates that it has signed.
    pub(super) fn issued(&self) -> usize {
        self.state.lock().unwrap().issued
    }

    /// Knows no account any more.
    pub(super) fn forget_accounts(&self) {
        self.state.lock().unwrap().accounts = 0;
    }

    /// Looks at other ports, and signs for other days, from now on.
    pub(super) fn change(&self, ports: [u16; 2], days: Days) {
        let mut state = self.state.lock().unwrap();
        (state.ports, state.days) = (ports, days);
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    state: web::Data<Mutex<State>>,
) -> HttpResponse {
    let path = request.path().to_owned();
    // A look at the server under test must not hold up its next request here.
    let looked = web::block(move || state.lock().unwrap().answer(&path, &body));
    looked.await.unwrap().sent()
}

impl State {
    fn answer(&mut self, path: &str, body: &[u8]) -> Answer {
        let base = self.base.clone();
        if path == "/directory" {
            return Answer::json(
                200,
                json!({
                    "newNonce": format!("{base}/nonce"),
                    "newAccount": format!("{base}/account"),
                    "newOrder": format!("{base}/order"),
                    "revokeCert": format!("{base}/revoke"),
                    "keyChange": format!("{base}/key"),
                }),
            );
        }
        self.nonces.0 += 1;
        let nonce = format!("n{}", self.nonces.0);
        self.nonces.1.insert(nonce.clone());
        let mut answer = match path {
            "/nonce" => Answer::json(200, Value::Null),
            _ if body.is_empty() => Answer::problem(404, "malformed", path),
            _ => self.answer_signed(path, body),
        };
        answer.headers.push(("replay-nonce", nonce));
        answer
    }

    fn answer_signed(&mut self, path: &str, body: &[u8]) -> Answer {
        let jws: Value = serde_json::from_slice(body).unwrap();
        let part = |name: &str| BASE64URL_NOPAD.decode(jws[name].as_str().unwrap().as_bytes());
        let protected: Value = serde_json::from_slice(&part("protected").unwrap()).unwrap();
        let payload = part("payload").unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        assert_eq!(protected["url"], format!("{}{path}", self.base));
        assert!(!part("signature").unwrap().is_empty());
        let nonce = protected["nonce"].as_str().unwrap();
        // Pebble's way: a good nonce is refused now and then.
        if !self.nonces.1.remove(nonce) || self.nonces.0.is_multiple_of(7) {
            return Answer::problem(400, "badNonce", "take another");
        }
        let (base, authorization) = (self.base.clone(), path.strip_prefix("/authorization/"));
        let order_path = ("location", format!("{base}/order/1"));
        match path {
            "/account" => {
                assert_eq!(payload["termsOfServiceAgreed"], true);
                self.accounts += 1;
                self.thumbprint = thumbprint(&protected["jwk"]);
                let mut made = Answer::json(201, json!({"status": "valid"}));
                made.headers.push(("location", format!("{base}/account/1")));
                made
            }
            _ if self.accounts == 0 => Answer::problem(400, "accountDoesNotExist", "who?"),
            "/order" => {
                let hosts = payload["identifiers"].as_array().unwrap().iter();
                self.hosts = hosts
                    .map(|it| it["value"].as_str().unwrap().to_owned())
                    .collect();
                self.looked = vec![None; self.hosts.len()];
                self.asked = vec![None; self.hosts.len()];
                self.certificate = None;
                let mut made = Answer::json(201, self.order());
                made.headers.push(order_path);
                made
            }
            "/order/1" => {
                self.look_at_all();
                Answer::json(200, self.order())
            }
            "/finalize" => {
                self.sign(payload["csr"].as_str().unwrap());
                let mut signed = Answer::json(200, self.order());
                signed.headers.push(order_path);
                signed
            }
            "/certificate" => Answer {
                status: 200,
                headers: vec![(
                    "content-type",
                    "application/pem-certificate-chain".to_owned(),
                )],
                body: self.certificate.clone().unwrap(),
            },
            _ => match (authorization, path.strip_prefix("/challenge/")) {
                (Some(number), _) => Answer::json(200, self.authorization(number.parse().unwrap())),
                (_, Some(which)) => {
                    let (kind, number) = which.split_once('/').unwrap();
                    let number: usize = number.parse().unwrap();
                    self.asked[number] = Some(kind.to_owned());
                    let all = self.authorization(number);
                    let one = all["challenges"].as_array().unwrap().iter();
                    let one = one.into_iter().find(|it| it["type"] == kind).unwrap();
                    Answer::json(200, one.clone())
                }
                _ => Answer::problem(404, "malformed", path),
            },
        }
    }

    fn order(&self) -> Value {
        let base = &self.base;
        let found = |it: &Option<Result<(), String>>| matches!(it, Some(Ok(())));
        let status = if self.certificate.is_some() {
            "valid"
        } else if self.looked.iter().all(found) {
            "ready"
        } else if self.looked.iter().any(|it| matches!(it, Some(Err(_)))) {
            "invalid"
        } else {
            "pending"
        };
        let hosts = self
            .hosts
            .iter()
            .map(|host| json!({"type": "dns", "value": host}));
        let authorizations = (0..self.hosts.len()).map(|it| format!("{base}/authorization/{it}"));
        let mut order = json!({
            "status": status,
            "identifiers": Vec::from_iter(hosts),
            "authorizations": Vec::from_iter(authorizations),
            "finalize": format!("{base}/finalize"),
        });
        if self.certificate.is_some() {
            order["certificate"] = format!("{base}/certificate").into();
        }
        order
    }

    fn authorization(&self, number: usize) -> Value {
        let (status, error) = match &self.looked[number] {
            None => ("pending", Value::Null),
            Some(Ok(())) => ("valid", Value::Null),
            Some(Err(why)) => ("invalid", problem(403, "unauthorized", why)),
        };
        let challenges = ["http-01", "dns-01", "tls-alpn-01"].map(|kind| {
            let mut challenge = json!({
                "type": kind,
                "url": format!("{}/challenge/{kind}/{number}", self.base),
                "token": format!("token{number}"),
                "status": status,
            });
            if !error.is_null() {
                challenge["error"] = error.clone();
            }
            challenge
        });
        json!({
            "status": status,
            "identifier": {"type": "dns", "value": self.hosts[number]},
            "challenges": challenges,
        })
    }

    /// Looks at hosts after it was asked to, as authorities do.
    fn look_at_all(&mut self) {
        for number in 0..self.hosts.len() {
            if let Some(kind) = self.asked[number].take() {
                self.looked[number] = Some(self.look(&kind, number));
            }
        }
    }

    /// Looks whether a host leads to who has asked.
    fn look(&self, kind: &str, number: usize) -> Result<(), String> {
        let (host, token) = (&self.hosts[number], format!("token{number}"));
        let expected = format!("{token}.{}", self.thumbprint);
        match kind {
            "http-01" => {
                let path = format!("/.well-known/acme-challenge/{token}");
                let said = get(self.ports[1], host, &path).map_err(|it| it.to_string())?;
                let body = said
                    .split_once("\r\n\r\n")
                    .map(|(_, body)| body)
                    .unwrap_or_default();
                (said.starts_with("HTTP/1.1 200") && body == expected)
                    .then_some(())
                    .ok_or(format!("{host} answers {said:?}"))
            }
            "tls-alpn-01" => {
                let digest = Sha256::digest(expected.as_bytes());
                let seen = handshake(self.ports[0], host).map_err(|error| error.to_string())?;
                (seen == digest.as_slice())
                    .then_some(())
                    .ok_or(format!("{host} shows another digest"))
            }
            _ => Err(format!("{kind} was not expected")),
        }
    }

    fn sign(&mut self, csr: &str) {
        let der = BASE64URL_NOPAD.decode(csr.as_bytes()).unwrap();
        let der = CertificateSigningRequestDer::from(der);
        let mut csr = CertificateSigningRequestParams::from_der(&der).unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let day = |days: i64| {
            let seconds = u64::try_from(now + days * 86_400).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        (csr.params.not_before, csr.params.not_after) = (day(-self.days.0), day(self.days.1));
        self.certificate = Some(csr.signed_by(&self.issuer).unwrap().pem());
        self.issued += 1;
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, value: Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: value.to_string(),
        }
    }

    fn problem(status: u16, kind: &str, detail: &str) -> Self {
        Self::json(status, problem(status, kind, detail))
    }

    fn sent(self) -> HttpResponse {
        let status = actix_web::http::StatusCode::from_u16(self.status).unwrap();
        let mut sent = HttpResponse::build(status);
        for (name, value) in self.headers {
            sent.insert_header((name, value));
        }
        sent.body(self.body)
    }
}

fn problem(status: u16, kind: &str, detail: &str) -> Value {
    json!({
        "type": format!("urn:ietf:params:acme:error:{kind}"),
        "detail": detail,
        "status": status,
    })
}

/// RFC 7638.
fn thumbprint(key: &Value) -> String {
    let members = ["crv", "kty", "x", "y"];
    let members = members.map(|name| format!("\"{name}\":{}", key[name]));
    let digest = Sha256::digest(format!("{{{}}}", members.join(",")).as_bytes());
    BASE64URL_NOPAD.encode(&digest)
}
