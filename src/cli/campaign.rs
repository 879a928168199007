//! `cupel campaign`.

use std::num::NonZeroU64;

use clap::ArgGroup;
use serde_json::json;

use crate::domain::campaign::PrivacyLevel;

use super::Failure;
use super::ask::{Ask, Pages, given, one_of};
use super::connection::Request;
use super::sheet::{Column, Form, column};

const COLUMNS: &[Column] = &[
    column("ID", "/id", Form::Number),
    column("NAME", "/name", Form::Text),
    column("HOME", "/home_url", Form::Text),
    column("LEVEL", "/level", Form::Text),
    column("CREATED", "/created_at", Form::Time),
    column("ARCHIVED", "/archived_at", Form::Time),
];

#[derive(Debug, clap::Args)]
pub(super) struct Campaign {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List campaigns
    ///
    /// Example: cupel campaign list --data /var/lib/cupel
    List {
        /// Campaigns at most
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU64>,
    },
    /// Show one campaign
    ///
    /// Example: cupel campaign show 7
    Show {
        /// Number of the campaign
        id: u32,
    },
    /// Make a campaign and print it with its id
    ///
    /// Example: cupel campaign create --name "May sale" --home-url https://shop.example/
    Create {
        /// A name for people
        #[arg(long)]
        name: String,
        /// Where honeypot links lead
        #[arg(long, value_name = "URL")]
        home_url: String,
    },
    /// Change a campaign's name, home or privacy level
    ///
    /// Example: cupel campaign edit 7 --level aggregate
    #[command(group(ArgGroup::new("change").required(true).multiple(true)))]
    Edit {
        /// Number of the campaign
        id: u32,
        /// A name for people
        #[arg(long, group = "change")]
        name: Option<String>,
        /// Where honeypot links lead
        #[arg(long, value_name = "URL", group = "change")]
        home_url: Option<String>,
        /// What is recorded of its hits
        #[arg(long, group = "change", value_parser = one_of(PrivacyLevel::ALL, PrivacyLevel::name))]
        level: Option<PrivacyLevel>,
    },
    /// Mark a campaign as archived, for people: its links go on
    ///
    /// Example: cupel campaign archive 7
    Archive {
        /// Number of the campaign
        id: u32,
    },
    /// Take the mark of the archive away
    ///
    /// Example: cupel campaign restore 7
    Restore {
        /// Number of the campaign
        id: u32,
    },
}

impl Campaign {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, what } = self;
        let about = |id: u32| format!("campaign {id}");
        let path = |id: u32| ["campaigns".to_owned(), id.to_string()];
        match what {
            What::List { limit } => {
                let request = Request::get(["campaigns"]);
                Pages::of(&request, "campaigns", limit).print(&ask, COLUMNS)
            }
            What::Show { id } => ask.one(&Request::get(path(id)).about(about(id)), COLUMNS),
            What::Create { name, home_url } => {
                let body = json!({"name": name, "home_url": home_url});
                ask.one(&Request::post(["campaigns"]).body(&body), COLUMNS)
            }
            What::Edit {
                id,
                name,
                home_url,
                level,
            } => {
                let body = given([
                    ("name", name.map(Into::into)),
                    ("home_url", home_url.map(Into::into)),
                    ("level", level.map(|level| level.name().into())),
                ]);
                let request = Request::patch(path(id)).body(&body).about(about(id));
                ask.one(&request, COLUMNS)
            }
            What::Archive { id } => {
                let path = path(id).into_iter().chain(["archive".to_owned()]);
                ask.one(&Request::post(path).about(about(id)), COLUMNS)
            }
            What::Restore { id } => {
                let body = json!({"archived": false});
                let request = Request::patch(path(id)).body(&body).about(about(id));
                ask.one(&request, COLUMNS)
            }
        }
    }
}
