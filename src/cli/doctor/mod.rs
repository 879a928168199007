//! `cupel doctor`: whether base URL, certificate, DNS name, proxies and directory agree.

mod checks;
mod way;

use serde::Serialize;
use serde_json::json;

use crate::config::{Config, Flags};

use super::Failure;
use super::ask::Ask;
use super::lines::Lines;
use super::reach::Reach;
use super::sheet::harmless;

/// Look for what would spoil mailings: base URL, certificate, DNS name, proxies, data directory
///
/// Reads the configuration, and where a server runs sends one request through the base URL to see
/// it as readers' requests are seen. Prints the List-Unsubscribe headers for the mails if they
/// would work. Exit code 0 if nothing is wrong, 78 otherwise; warnings are not wrong.
///
/// Example: cupel doctor --data /var/lib/cupel
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    ask: Ask,
    /// Look up no name and send no request
    #[arg(long)]
    offline: bool,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Wrong,
}

/// What was found of one thing.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
    /// What to do.
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn warning(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warning,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn wrong(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Wrong,
            ..Self::warning(check, detail, remedy)
        }
    }

    /// What could not be looked at.
    fn failed(check: &'static str, why: &Failure) -> Self {
        Self::wrong(check, why.line.clone(), "mend that, and ask again")
    }
}

impl Doctor {
    pub(super) fn run(self) -> Result<(), Failure> {
        let running = match &self.ask.reach {
            Reach::Directory { .. } if self.ask.reach.running()?.is_none() => None,
            reach => Some(reach.open()?),
        };
        // A server may have been started with flags that nobody else knows.
        let config = match (&self.ask.reach, &running) {
            (Reach::Directory { .. }, Some(server)) => Some(way::configuration(server)?),
            (Reach::Directory { data, config }, None) => Some(Config::load(&Flags {
                data: Some(data.clone()),
                config: config.clone(),
                ..Flags::default()
            })?),
            // Its files are elsewhere; what it does can be seen all the same.
            (Reach::Server { .. }, _) => None,
        };
        let mut findings = Vec::new();
        let probe = running.as_ref().map(way::ask).transpose();
        let probe = probe.unwrap_or_else(|failure| {
            findings.push(Finding::failed("way", &failure));
            None
        });
        let used = probe.as_ref().map(|probe| probe.base_url.clone());
        let base_url = used.or_else(|| config.as_ref()?.base_url.clone());
        if let Some(mut config) = config {
            config.base_url.clone_from(&base_url);
            checks::all(&config, &mut findings);
        }
        match &running {
            Some(server) => {
                let waiting = way::waiting(server);
                findings.extend(
                    waiting.unwrap_or_else(|why| Some(Finding::failed("configuration", &why))),
                );
                way::health(server, &mut findings);
            }
            None => findings.push(Finding::warning(
                "server",
                "no server runs on this data directory",
                "start it with cupel serve, and ask again: what readers reach was not looked at",
            )),
        }
        if let (Some(server), Some(probe), false) = (&running, &probe, self.offline) {
            let walked = way::walk(server, probe, &self.ask.reach, &mut findings);
            findings.extend(walked.err().map(|error| Finding::failed("way", &error)));
        }
        let headers = base_url.as_deref().and_then(list_unsubscribe);
        self.print(&findings, base_url.as_deref(), headers.as_deref())?;
        let wrong = findings
            .iter()
            .filter(|it| it.state == State::Wrong)
            .count();
        match wrong {
            0 => Ok(()),
            1 => Err(Failure::new(Failure::CONFIGURATION, "1 thing is wrong")),
            _ => Err(Failure::new(
                Failure::CONFIGURATION,
                format!("{wrong} things are wrong"),
            )),
        }
    }

    fn print(
        &self,
        findings: &[Finding],
        base_url: Option<&str>,
        headers: Option<&[String]>,
    ) -> Result<(), Failure> {
        let mut lines = Lines::new();
        if self.ask.json {
            lines.say(json!({
                "findings": findings,
                "base_url": base_url,
                "list_unsubscribe": headers,
            }));
            return lines.finish();
        }
        for finding in findings {
            let mark = match finding.state {
                State::Ok => "ok     ",
                State::Warning => "warning",
                State::Wrong => "wrong  ",
            };
            lines.say(format_args!(
                "{mark}  {}: {}",
                finding.check,
                harmless(&finding.detail)
            ));
            if let Some(remedy) = &finding.remedy {
                lines.say(format_args!("         {}", harmless(remedy)));
            }
        }
        lines.say("");
        match headers {
            Some(headers) => {
                lines.say("headers for each mail, with its own token and act tag merged in:");
                for header in headers {
                    lines.say(format_args!("  {}", harmless(header)));
                }
            }
            None => {
                lines.say(
                    "no List-Unsubscribe headers: mailbox providers take them with an https base \
                     URL only (RFC 8058)",
                );
            }
        }
        lines.finish()
    }
}

/// The headers of RFC 8058, if mailbox providers would take them.
fn list_unsubscribe(base_url: &str) -> Option<Vec<String>> {
    base_url.starts_with("https://").then(|| {
        let url = format!("{base_url}/u/{{{{cupel_token}}}}/{{{{cupel_act_0}}}}/0");
        vec![
            format!("List-Unsubscribe: <{url}>"),
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click".to_owned(),
        ]
    })
}
