//! `cupel short`: short links.

use std::num::NonZeroU64;

use clap::ArgGroup;
use serde_json::{Value, json};

use crate::domain::campaign::ShortCode;

use super::Failure;
use super::ask::{Ask, Pages, given};
use super::connection::Request;
use super::sheet::{Column, Form, column};
use super::stats;

const COLUMNS: &[Column] = &[
    column("CODE", "/code", Form::Text),
    column("SHORT", "/short_url", Form::Text),
    column("URL", "/url", Form::Text),
    column("CREATED", "/created_at", Form::Time),
    column("EXPIRES", "/expires_at", Form::Time),
    column("DISABLED", "/disabled_at", Form::Time),
];

/// The URL of a new short link has no flag.
const NAMED: &[(&str, &str)] = &[("/url", "URL")];

#[derive(Debug, clap::Args)]
pub(super) struct Short {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List short links
    ///
    /// Example: cupel short list --limit 20
    List {
        /// Short links at most
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU64>,
    },
    /// Show one short link
    ///
    /// Example: cupel short show summer
    Show {
        /// The code, case-sensitive
        #[arg(value_parser = code)]
        code: String,
    },
    /// Make a short link; without --code one of eight characters is chosen
    ///
    /// Example: cupel short create https://shop.example/summer --code summer
    Create {
        /// Where it leads
        url: String,
        /// 1 to 64 of A-Z a-z 0-9 - _
        #[arg(long)]
        code: Option<String>,
        /// When it ends, such as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// Change where a short link leads, or when it ends
    ///
    /// Example: cupel short edit summer --url https://shop.example/autumn --no-expiry
    #[command(group(ArgGroup::new("change").required(true).multiple(true)))]
    Edit {
        /// The code, case-sensitive
        #[arg(value_parser = code)]
        code: String,
        /// Where it leads
        #[arg(long, group = "change")]
        url: Option<String>,
        /// When it ends, such as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME", group = "change")]
        expires_at: Option<String>,
        /// It never ends
        #[arg(long, group = "change", conflicts_with = "expires_at")]
        no_expiry: bool,
    },
    /// Switch a short link off: readers get a page that says so
    ///
    /// Example: cupel short disable summer
    Disable {
        /// The code, case-sensitive
        #[arg(value_parser = code)]
        code: String,
    },
    /// Switch a short link on again
    ///
    /// Example: cupel short enable summer
    Enable {
        /// The code, case-sensitive
        #[arg(value_parser = code)]
        code: String,
    },
    /// Raw and human clicks of a short link, and its hits by class and method
    ///
    /// Example: cupel short stats summer
    Stats {
        /// The code, case-sensitive
        #[arg(value_parser = code)]
        code: String,
        /// By what this rule set says, which is in shadow; see `cupel ruleset shadow`
        #[arg(long)]
        ruleset: Option<String>,
    },
}

fn code(text: &str) -> Result<String, String> {
    let parsed = ShortCode::parse(text).map_err(|why| format!("the code {why}"))?;
    Ok(parsed.as_str().to_owned())
}

impl Short {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, what } = self;
        let path = |code: &str| ["short-links".to_owned(), code.to_owned()];
        let under = |code: &str, more: &str| path(code).into_iter().chain([more.to_owned()]);
        let edit = |code: &str, body: &Value| {
            let request = Request::patch(path(code)).body(body);
            ask.one(&request.about(code), COLUMNS)
        };
        match what {
            What::List { limit } => {
                let request = Request::get(["short-links"]);
                Pages::of(&request, "short_links", limit).print(&ask, COLUMNS)
            }
            What::Show { code } => ask.one(&Request::get(path(&code)).about(&code), COLUMNS),
            What::Create {
                url,
                code,
                expires_at,
            } => {
                let body = given([
                    ("url", Some(url.into())),
                    ("code", code.map(Into::into)),
                    ("expires_at", expires_at.map(Into::into)),
                ]);
                let request = Request::post(["short-links"]).body(&body).naming(NAMED);
                ask.one(&request, COLUMNS)
            }
            What::Edit {
                code,
                url,
                expires_at,
                no_expiry,
            } => {
                let until = expires_at.map(Value::from);
                let until = until.or(no_expiry.then_some(Value::Null));
                let body = given([("url", url.map(Into::into)), ("expires_at", until)]);
                edit(&code, &body)
            }
            What::Disable { code } => {
                let request = Request::post(under(&code, "disable"));
                ask.one(&request.about(&code), COLUMNS)
            }
            What::Enable { code } => edit(&code, &json!({"disabled": false})),
            What::Stats { code, ruleset } => {
                let request = Request::get(under(&code, "stats")).with("ruleset", ruleset);
                let request = request.about(&code);
                stats::short_link(&ask, &request)
            }
        }
    }
}
