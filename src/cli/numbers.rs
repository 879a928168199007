//! `cupel numbers`: message numbers for whoever mints offline.

use serde_json::json;

use super::Failure;
use super::ask::Ask;
use super::connection::Request;
use super::sheet::{Column, Form, column};

const COLUMNS: &[Column] = &[
    column("FIRST", "/first", Form::Number),
    column("COUNT", "/count", Form::Number),
];

#[derive(Debug, clap::Args)]
pub(super) struct Numbers {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Lease a range of message numbers of a campaign; it is never given back
    ///
    /// Example: cupel numbers lease 7 --count 1000000
    Lease {
        /// Number of the campaign
        campaign: u32,
        /// How many, up to 100 million
        #[arg(long, value_name = "N")]
        count: u32,
    },
}

impl Numbers {
    pub(super) fn run(self) -> Result<(), Failure> {
        let What::Lease { campaign, count } = self.what;
        let path = ["campaigns", &campaign.to_string(), "numbers"];
        let body = json!({"count": count});
        let request = Request::post(path).body(&body);
        let about = format!("campaign {campaign}");
        self.ask.one(&request.about(about), COLUMNS)
    }
}
