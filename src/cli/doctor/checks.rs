//! What can be seen from the configuration and the data directory.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use url::Url;

use crate::clock::Clock;
use crate::config::Config;
use crate::listen::{About, CertificateFiles};

use super::Finding;

/// Days before the end of a certificate at which it is said.
const EXPIRES_SOON_DAYS: i64 = 14;

/// Every check, in its order.
pub(super) fn all(config: &Config, findings: &mut Vec<Finding>) {
    findings.push(directory(&config.data));
    findings.push(keys(&config.data));
    findings.push(base_url(config));
    findings.extend(act_hosts(config));
    findings.extend(certificate(config));
    findings.push(proxies(config));
    findings.push(contact(config));
}

fn directory(data: &Path) -> Finding {
    let check = "data directory";
    match std::fs::metadata(data) {
        Err(error) => {
            let detail = format!("{}: {error}", data.display());
            Finding::wrong(check, detail, "name the server's directory with --data")
        }
        Ok(about) if about.permissions().mode() & 0o077 != 0 => {
            let mode = about.permissions().mode() & 0o777;
            let detail = format!("{} is open to others ({mode:03o})", data.display());
            let remedy = format!("chmod 700 {}: keys and addresses lie in it", data.display());
            Finding::wrong(check, detail, remedy)
        }
        Ok(_) => Finding::ok(check, data.display().to_string()),
    }
}

fn keys(data: &Path) -> Finding {
    let (check, ring) = ("keys", data.join("keys/ring.toml"));
    match std::fs::metadata(&ring) {
        Err(error) => {
            let detail = format!("{}: {error}", ring.display());
            let remedy = match error.kind() {
                ErrorKind::NotFound => {
                    "put the keys back from their backup; new ones know no link ever mailed"
                }
                _ => "ask as the owner of the data directory",
            };
            Finding::wrong(check, detail, remedy)
        }
        Ok(about) if about.permissions().mode() & 0o077 != 0 => {
            let detail = format!("{} can be read by others", ring.display());
            Finding::wrong(check, detail, format!("chmod 600 {}", ring.display()))
        }
        Ok(_) => Finding::ok(check, format!("{}; is it backed up?", ring.display())),
    }
}

fn base_url(config: &Config) -> Finding {
    let check = "base URL";
    let Some(base_url) = &config.base_url else {
        let detail = "is not set: links begin with the listen address";
        return Finding::warning(check, detail, "set base_url, such as https://t.example.com");
    };
    let host = Url::parse(base_url)
        .ok()
        .and_then(|url| url.host().map(|host| host.to_owned()));
    match host {
        _ if !base_url.starts_with("https://") => Finding::wrong(
            check,
            format!("{base_url} is not https"),
            "over http browsers leave out the headers that tell people from machines, and \
             mailbox providers take no one-click unsubscribe: use https",
        ),
        Some(url::Host::Domain(name)) if name != "localhost" => Finding::ok(check, base_url),
        _ => Finding::wrong(
            check,
            format!("{base_url} names no host that a reader can look up"),
            "use a host name of your own: addresses look like phishing, and cannot move",
        ),
    }
}

fn act_hosts(config: &Config) -> Option<Finding> {
    let check = "act hosts";
    let base_url = config.base_url.as_ref()?;
    let (_, host) = base_url.split_once("://")?;
    let hosts = &config.live.act_hosts;
    if hosts.is_empty() || hosts.iter().any(|one| one.eq_ignore_ascii_case(host)) {
        return None;
    }
    let detail = format!("{host}, the host of base_url, is not among act_hosts");
    let remedy = format!("add {host:?} to act_hosts: pages and presses are refused on it");
    Some(Finding::wrong(check, detail, remedy))
}

fn certificate(config: &Config) -> Option<Finding> {
    let check = "certificate";
    if let Some(acme) = &config.acme {
        let host = host_of(config)?;
        let hosts = acme.hosts.join(", ");
        if acme.hosts.contains(&host) {
            return Some(Finding::ok(check, format!("by ACME for {hosts}")));
        }
        let detail = format!("{host}, the host of base_url, is not among acme.hosts");
        let remedy = format!("add {host:?} to acme.hosts");
        return Some(Finding::wrong(check, detail, remedy));
    }
    match CertificateFiles::open(config.tls.as_ref()?) {
        Err(error) => {
            let remedy = "put a chain and its key there, PEM";
            Some(Finding::wrong(check, error.to_string(), remedy))
        }
        Ok((_, certificates)) => Some(fits(config, &certificates.about())),
    }
}

fn fits(config: &Config, about: &About) -> Finding {
    let check = "certificate";
    let now = i64::from(Clock.now().seconds());
    let left = (about.valid.1 - now) / 86_400;
    let names = about.names.join(", ");
    let renew = "renew it; it is read again when the file changes";
    if now < about.valid.0 {
        return Finding::wrong(
            check,
            "is not valid yet",
            "look at the clock of this machine",
        );
    }
    if now >= about.valid.1 {
        return Finding::wrong(check, format!("for {names} has expired"), renew);
    }
    if let Some(host) = host_of(config).filter(|host| !about.covers(host)) {
        let detail = format!("is for {names}, and base_url names {host}");
        return Finding::wrong(check, detail, "use one that names it, or mend base_url");
    }
    if left < EXPIRES_SOON_DAYS {
        return Finding::warning(check, format!("for {names} expires in {left} days"), renew);
    }
    Finding::ok(check, format!("for {names}, {left} more days"))
}

fn host_of(config: &Config) -> Option<String> {
    let url = Url::parse(config.base_url.as_ref()?).ok()?;
    url.host_str().map(str::to_owned)
}

fn proxies(config: &Config) -> Finding {
    let check = "proxies";
    let trusted = &config.live.trusted_proxies;
    let own_tls = config.tls.is_some() || config.acme.is_some();
    let https = config
        .base_url
        .as_ref()
        .is_some_and(|url| url.starts_with("https://"));
    if let Some(all) = trusted
        .networks
        .iter()
        .find(|network| network.prefix_len() == 0)
    {
        let detail = format!("{all} is trusted: everybody may say to be somebody else");
        return Finding::wrong(check, detail, "name the proxies' own addresses");
    }
    if https && !own_tls && trusted.is_empty() {
        return Finding::wrong(
            check,
            "base_url is https, and neither is TLS spoken here nor a proxy trusted",
            "name the proxy in trusted_proxies, or set tls.certificate or acme.hosts: every hit \
             would be recorded as http and from the proxy",
        );
    }
    if trusted.is_empty() {
        return Finding::ok(check, "none is trusted");
    }
    let names: Vec<_> = trusted.networks.iter().map(ToString::to_string).collect();
    let unix = trusted.unix.then_some("unix".to_owned());
    Finding::ok(
        check,
        names.into_iter().chain(unix).collect::<Vec<_>>().join(", "),
    )
}

fn contact(config: &Config) -> Finding {
    let check = "contact";
    match config.live.face.contact.as_str() {
        "" => Finding::warning(
            check,
            "face.contact is empty: those who check the host find nobody to write to",
            "set face.sender and face.contact",
        ),
        contact => Finding::ok(check, contact),
    }
}
