//! `cupel nodes`.

use super::Failure;
use super::ask::{Ask, Pages};
use super::connection::Request;
use super::sheet::{Column, Form, column};

const COLUMNS: &[Column] = &[
    column("NODE", "/id", Form::Text),
    column("STATE", "/state", Form::Text),
    column("LAST HEARD OF", "/seen_at", Form::Time),
    column("SHIPPED TO", "/shipped_to", Form::Time),
    column("SHARDS", "/shards", Form::Number),
    column("WAITING", "/waiting", Form::Count),
];

#[derive(Debug, clap::Args)]
pub(super) struct Nodes {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the processes that share a store, and how far each is
    ///
    /// A node is running, stopped, or silent: not heard of for a minute, so that what it has kept
    /// since is counted when it is back. Shards are settled by whoever has them; what waits has
    /// been shipped and not been settled. A node's name is in the file journal/edge of its
    /// directory.
    ///
    /// Example: cupel nodes list --data /var/lib/cupel
    List,
    /// Forget a node that is silent and will not come back, as when its disk is lost
    ///
    /// Statistics do not name it any more. Should it come back, it is heard of again.
    ///
    /// Example: cupel nodes forget --data /var/lib/cupel 1f0c55aa
    Forget {
        /// Its name, as `cupel nodes list` shows it
        id: String,
    },
}

impl Nodes {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::List => {
                Pages::of(&Request::get(["nodes"]), "nodes", None).print(&self.ask, COLUMNS)
            }
            What::Forget { id } => {
                let request = Request::post(["nodes", &id, "forget"]);
                self.ask.one(&request.about(&id), COLUMNS)
            }
        }
    }
}
