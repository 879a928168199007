//! `cupel link`: links of a campaign.

use clap::ArgGroup;
use serde_json::{Value, json};

use crate::domain::campaign::{ActionKind, LinkKind};

use super::Failure;
use super::ask::{Ask, given, one_of};
use super::connection::Request;
use super::sheet::{Column, Form, column};

const COLUMNS: &[Column] = &[
    column("NUMBER", "/number", Form::Number),
    column("KIND", "/kind", Form::Text),
    column("SUB-KIND", "/sub_kind", Form::Text),
    column("URL", "/url", Form::Text),
    column("LABEL", "/label", Form::Text),
    column("DISABLED", "/disabled_at", Form::Time),
];

/// The URL of a new link has no flag.
const NAMED: &[(&str, &str)] = &[("/url", "URL")];

#[derive(Debug, clap::Args)]
pub(super) struct Link {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Number of the campaign
    campaign: u32,
    /// Number of the link
    number: u32,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the links of a campaign
    ///
    /// Example: cupel link list 7
    List {
        /// Number of the campaign
        campaign: u32,
    },
    /// Show one link
    ///
    /// Example: cupel link show 7 3
    Show(Which),
    /// Register a destination and print its number
    ///
    /// The same URL and kind again gives the same number. Links that act must be known as such
    /// before a template is rewritten: the kind of a link never changes.
    ///
    /// Example: cupel link create 7 https://shop.example/confirm --kind action --sub-kind confirm
    Create {
        /// Number of the campaign
        campaign: u32,
        /// Where it leads
        url: String,
        /// What it does
        #[arg(long, value_parser = one_of(LinkKind::ALL, LinkKind::name))]
        kind: Option<LinkKind>,
        /// What an action does
        #[arg(long, value_parser = one_of(ActionKind::ALL, ActionKind::name))]
        sub_kind: Option<ActionKind>,
        /// A name for people
        #[arg(long)]
        label: Option<String>,
    },
    /// Change where a link leads, or its label; mail already sent follows
    ///
    /// Example: cupel link edit 7 3 --url https://shop.example/june
    #[command(group(ArgGroup::new("change").required(true).multiple(true)))]
    Edit {
        #[command(flatten)]
        which: Which,
        /// Where it leads
        #[arg(long, group = "change")]
        url: Option<String>,
        /// A name for people
        #[arg(long, group = "change")]
        label: Option<String>,
        /// Take the label away
        #[arg(long, group = "change", conflicts_with = "label")]
        no_label: bool,
    },
    /// Switch a link off: readers get a page that says so
    ///
    /// Example: cupel link disable 7 3
    Disable(Which),
    /// Switch a link on again
    ///
    /// Example: cupel link enable 7 3
    Enable(Which),
}

impl Which {
    fn path(&self) -> [String; 4] {
        let (campaign, number) = (self.campaign.to_string(), self.number.to_string());
        ["campaigns".to_owned(), campaign, "links".to_owned(), number]
    }

    fn about(&self) -> String {
        format!("campaign {}, link {}", self.campaign, self.number)
    }
}

impl Link {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, what } = self;
        let edit = |which: &Which, body: &Value| {
            let request = Request::patch(which.path()).body(body);
            ask.one(&request.about(which.about()), COLUMNS)
        };
        match what {
            What::List { campaign } => list(&ask, campaign),
            What::Show(which) => {
                let request = Request::get(which.path()).about(which.about());
                ask.one(&request, COLUMNS)
            }
            What::Create {
                campaign,
                url,
                kind,
                sub_kind,
                label,
            } => {
                let body = given([
                    ("url", Some(url.into())),
                    ("kind", kind.map(|kind| kind.name().into())),
                    ("sub_kind", sub_kind.map(|kind| kind.name().into())),
                    ("label", label.map(Into::into)),
                ]);
                create(&ask, campaign, &body)
            }
            What::Edit {
                which,
                url,
                label,
                no_label,
            } => {
                let label = label.map(Value::from).or(no_label.then_some(Value::Null));
                edit(
                    &which,
                    &given([("url", url.map(Into::into)), ("label", label)]),
                )
            }
            What::Disable(which) => {
                let path = which.path().into_iter().chain(["disable".to_owned()]);
                ask.one(&Request::post(path).about(which.about()), COLUMNS)
            }
            What::Enable(which) => edit(&which, &json!({"disabled": false})),
        }
    }
}

fn of_campaign(campaign: u32) -> [String; 3] {
    let campaign = campaign.to_string();
    ["campaigns".to_owned(), campaign, "links".to_owned()]
}

fn list(ask: &Ask, campaign: u32) -> Result<(), Failure> {
    let about = format!("campaign {campaign}");
    let request = Request::get(of_campaign(campaign)).about(about);
    let answer = ask.reach.open()?.call(&request)?;
    ask.all(&answer, "links", COLUMNS)
}

fn create(ask: &Ask, campaign: u32, body: &Value) -> Result<(), Failure> {
    let about = format!("campaign {campaign}");
    let request = Request::post(of_campaign(campaign)).about(about);
    let request = request.body(body).naming(NAMED);
    let answer = ask.reach.open()?.call(&request)?;
    // Mail may be out that leads there as content.
    for other in answer
        .get("also")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| other.get(name).cloned().unwrap_or_default();
        let (number, kind) = (part("number"), part("kind"));
        let kind = kind.as_str().unwrap_or_default();
        super::lines::tell(format_args!(
            "cupel: link {number} of kind {kind} leads to the same URL"
        ));
    }
    ask.print(&answer, COLUMNS)
}
