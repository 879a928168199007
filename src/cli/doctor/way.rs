//! The way of a reader's request: where the base URL leads, and what is lost on it.

use std::net::ToSocketAddrs;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use reqwest::tls::Certificate;
use serde_json::Value;
use url::Url;

use crate::config::Config;

use super::super::Failure;
use super::super::connection::{Connection, Request};
use super::super::reach::Reach;
use super::Finding;

/// How long the request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that the server waits for.
pub(super) struct Probe {
    pub(super) base_url: String,
    url: String,
    token: String,
}

/// Asks the server for one.
pub(super) fn ask(server: &Connection) -> Result<Probe, Failure> {
    let answer = server.call(&Request::post(["probes"]))?;
    let text = |member: &str| {
        let text = answer.get(member).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (url, token) = (text("url"), text("token"));
    let base_url = url.split("/_/").next().unwrap_or_default().to_owned();
    Ok(Probe {
        base_url,
        url,
        token,
    })
}

/// The configuration that the server has in force.
pub(super) fn configuration(server: &Connection) -> Result<Config, Failure> {
    let answer = server.call(&Request::get(["config"]))?;
    let keys = answer.get("keys").and_then(Value::as_array);
    let lines = keys.into_iter().flatten().filter_map(|key| {
        let text = |member: &str| key.get(member).and_then(Value::as_str);
        Some(format!("{} = {}\n", text("key")?, text("value")?))
    });
    Ok(Config::of_server(&lines.collect::<String>())?)
}

/// What is written and not in force: keys that wait for the next start, or a file that was refused.
/// Every other check looks at what will be in force then.
pub(super) fn waiting(server: &Connection) -> Result<Option<Finding>, Failure> {
    let answer = server.call(&Request::get(["config"]))?;
    let check = "configuration";
    if let Some(refused) = answer.get("refused").and_then(Value::as_str) {
        let detail = format!("was refused when last read: {refused}");
        let remedy = "mend it, and say cupel config reload; what was in force still is";
        return Ok(Some(Finding::wrong(check, detail, remedy)));
    }
    let keys = answer.get("restart").and_then(Value::as_array);
    let keys: Vec<_> = keys
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let remedy = "restart the server: what is said of them here comes into force then";
    Ok((!keys.is_empty()).then(|| {
        let detail = format!("{} changed since the server started", keys.join(", "));
        Finding::warning(check, detail, remedy)
    }))
}

/// What the server says of itself.
pub(super) fn health(server: &Connection, findings: &mut Vec<Finding>) {
    let answer = match server.ready() {
        Ok(answer) => answer,
        Err(failure) => return findings.push(Finding::failed("server", &failure)),
    };
    let parts = answer.get("parts").and_then(Value::as_object);
    let before = findings.len();
    for (name, part) in parts.into_iter().flatten() {
        if part.get("ok").and_then(Value::as_bool) != Some(true) {
            let detail = part
                .get("detail")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let remedy = "see docs/operations.md, and the server's log";
            findings.push(Finding::wrong(
                "server",
                format!("{name}: {detail}"),
                remedy,
            ));
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok("server", "every part is well"));
    }
}

/// Looks the host up, sends the request, and reads how it looked over there.
pub(super) fn walk(
    server: &Connection,
    probe: &Probe,
    reach: &Reach,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let Some(url) = Url::parse(&probe.url).ok() else {
        return Ok(());
    };
    let (host, port) = (
        url.host_str().unwrap_or_default(),
        url.port_or_known_default(),
    );
    match (host.trim_matches(['[', ']']), port.unwrap_or(443)).to_socket_addrs() {
        Ok(found) => {
            let found: Vec<_> = found.map(|address| address.ip().to_string()).collect();
            findings.push(Finding::ok(
                "DNS",
                format!("{host} is {}", found.join(", ")),
            ));
        }
        Err(error) => {
            let remedy = format!("make an A or AAAA record for {host} that leads here");
            findings.push(Finding::wrong("DNS", format!("{host}: {error}"), remedy));
            return Ok(());
        }
    }
    let answered = client(reach)?.get(url.clone()).send();
    let status = match answered {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => {
            let detail = format!("{}: {}", probe.base_url, causes(&error));
            let remedy = "look at DNS, firewall, proxy and certificate";
            findings.push(Finding::wrong("way", detail, remedy));
            return Ok(());
        }
    };
    let answer = server.call(&Request::get(["probes", &probe.token]))?;
    match answer.get("seen").filter(|seen| !seen.is_null()) {
        Some(seen) => findings.push(compare(seen, &url)),
        None => findings.push(Finding::wrong(
            "way",
            format!(
                "{} answers {status}, and the request did not come here",
                probe.base_url
            ),
            "base_url leads to another server: mend DNS or the proxy",
        )),
    }
    Ok(())
}

/// What the server saw, against what was sent.
fn compare(seen: &Value, url: &Url) -> Finding {
    let text = |member: &str| seen.get(member).and_then(Value::as_str);
    let headers = seen.get("headers").and_then(Value::as_array);
    let headers: Vec<_> = headers
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let trusted = seen.get("trusted").and_then(Value::as_bool) == Some(true);
    let peer = text("peer").unwrap_or("a socket file");
    let scheme = text("scheme").unwrap_or_default();
    let authority = url.authority();
    if !trusted && !headers.is_empty() {
        return Finding::wrong(
            "way",
            format!("{peer} sends {} and is not trusted", headers.join(", ")),
            format!("name it in trusted_proxies, such as [\"{peer}\"], if it is your proxy"),
        );
    }
    if scheme != url.scheme() {
        return Finding::wrong(
            "way",
            format!("it was sent over {} and seen as {scheme}", url.scheme()),
            "let the proxy set X-Forwarded-Proto, or send-proxy-v2-ssl with the PROXY protocol",
        );
    }
    match text("host") {
        Some(host) if host != authority => Finding::warning(
            "way",
            format!("it was sent to {authority} and seen as {host}"),
            "let the proxy pass the Host header on: act_hosts and the pages' own check read it",
        ),
        _ => {
            let address = text("address").unwrap_or_default();
            Finding::ok(
                "way",
                format!("a reader over {scheme} is seen as {address}"),
            )
        }
    }
}

fn client(reach: &Reach) -> Result<Client, Failure> {
    let mut client = Client::builder()
        .timeout(PATIENCE)
        .redirect(Policy::none())
        .user_agent(concat!("cupel-doctor/", env!("CARGO_PKG_VERSION")));
    if let Reach::Server {
        ca_file: Some(file),
        ..
    } = reach
    {
        let pem = std::fs::read(file).map_err(|error| Failure::no_input(file, &error))?;
        let all = Certificate::from_pem_bundle(&pem);
        let all = all.map_err(|error| Failure::new(Failure::DATA, causes(&error)))?;
        client = client.tls_certs_merge(all);
    }
    client
        .build()
        .map_err(|error| Failure::new(Failure::SOFTWARE, error))
}

/// An error and what brought it about.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
