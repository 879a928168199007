//! `cupel-load`: open-loop load from the command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use cupel_bench::requests::{BROWSER, Headers, PLAIN, Rotating};
use cupel_bench::{Arrivals, Histogram, Outcome, Plan, Seed, WhenGone, run};
use serde_json::{Value, json};

/// Asks for URLs of one server in turn, when a schedule says and not when the server is ready
#[derive(Debug, Parser)]
#[command(name = "cupel-load")]
struct Arguments {
    /// http:// URLs, all of the same host
    urls: Vec<String>,
    /// A file with more of them, one a line
    #[arg(long = "urls", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Connections, all threads together
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Requests a second; without it, as fast as answers come
    #[arg(long)]
    rate: Option<f64>,
    /// Arrivals at even distances instead of independent ones
    #[arg(long, requires = "rate")]
    even: bool,
    /// For how long requests become due
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// No more requests than this
    #[arg(long)]
    total: Option<u64>,
    /// Which headers are sent
    #[arg(long, value_enum, default_value = "browser")]
    headers: Shape,
    /// What arrivals follow from; without it, a new one
    #[arg(long)]
    seed: Option<Seed>,
    /// Reconnect when the server goes away, instead of ending
    #[arg(long)]
    reconnect: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print the headers of --headers, one a line, and ask for nothing
    #[arg(long)]
    show_headers: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// A click from webmail in Chromium, 15 headers with Host
    Browser,
    /// Host, User-Agent, Accept
    Plain,
}

impl Shape {
    fn headers(self) -> Headers {
        match self {
            Self::Browser => BROWSER,
            Self::Plain => PLAIN,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.show_headers {
        for (name, value) in arguments.headers.headers() {
            println!("{name}: {value}");
        }
        return Ok(());
    }
    if let Some(file) = &arguments.file {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| file.display().to_string())?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        arguments.urls.extend(lines.map(str::to_owned));
    }
    let (host, paths) = split(&arguments.urls)?;
    let requests = Rotating::new(&host, &paths, arguments.headers.headers());
    let requests = requests.context("no URL to ask for")?;
    let plan = plan(&arguments, address(&host)?)?;
    let outcome = run(&plan, &requests, &AtomicBool::new(false))?;
    if arguments.json {
        println!("{}", report(&plan, &outcome));
    } else {
        println!("seed {}\n{outcome}", plan.seed);
    }
    if outcome.answered == 0 {
        bail!("nothing was answered");
    }
    Ok(())
}

fn plan(arguments: &Arguments, address: SocketAddr) -> anyhow::Result<Plan> {
    let arrivals = match (arguments.rate, arguments.even) {
        (None, _) => Arrivals::Closed,
        (Some(rate), true) => Arrivals::Constant(rate),
        (Some(rate), false) => Arrivals::Poisson(rate),
    };
    let when_gone = if arguments.reconnect {
        WhenGone::Reconnect
    } else {
        WhenGone::End
    };
    let seconds = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    Ok(Plan {
        connections: arguments.connections,
        threads: arguments.threads,
        arrivals,
        duration: Some(seconds),
        total: arguments.total,
        seed: arguments.seed.unwrap_or_else(Seed::random),
        when_gone,
        oracle: false,
        ..Plan::new(address)
    })
}

/// `http://host:port/path` of all URLs: the one host, and the paths.
fn split(urls: &[String]) -> anyhow::Result<(String, Vec<String>)> {
    let mut all = (String::new(), Vec::new());
    for url in urls {
        let rest = url.strip_prefix("http://");
        let rest = rest.with_context(|| format!("{url}: only http:// is spoken"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !all.0.is_empty() && all.0 != host {
            bail!("{url}: not on {}, as those before it", all.0);
        }
        host.clone_into(&mut all.0);
        all.1.push(format!("/{path}"));
    }
    Ok(all)
}

fn address(host: &str) -> anyhow::Result<SocketAddr> {
    let with_port = host.to_socket_addrs();
    let mut found = with_port.or_else(|_| (host, 80).to_socket_addrs());
    let found = found.as_mut().ok().and_then(Iterator::next);
    found.with_context(|| format!("{host:?}: no such host"))
}

fn report(plan: &Plan, outcome: &Outcome) -> Value {
    json!({
        "seed": plan.seed.to_string(),
        "sent": outcome.sent,
        "answered": outcome.answered,
        "broken": outcome.broken,
        "malformed": outcome.malformed,
        "pending": outcome.pending,
        "unsent": outcome.unsent,
        "refused": outcome.refused,
        "by_status": outcome.by_status,
        "rate": outcome.rate(),
        "seconds": outcome.elapsed.as_secs_f64(),
        "latency_us": times(&outcome.latency),
        "behind_us": times(&outcome.behind),
        "generator": {
            "threads": outcome.generator.threads,
            "ran_s": outcome.generator.ran.as_secs_f64(),
            "starved_s": outcome.generator.starved.as_secs_f64(),
        },
        "doubt": outcome.doubt(),
    })
}

fn times(times: &Histogram) -> Value {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    json!({
        "mean": micros(times.mean()),
        "p50": micros(times.quantile(0.5)),
        "p90": micros(times.quantile(0.9)),
        "p99": micros(times.quantile(0.99)),
        "p99.9": micros(times.quantile(0.999)),
        "max": micros(times.max()),
    })
}
