//! Commands: one file each. A command reads its arguments, calls, and prints.

#![expect(
    rustdoc::bare_urls,
    reason = "comments on commands are their help, shown as they stand"
)]

mod ask;
mod backup;
mod calibrate;
mod campaign;
mod completions;
mod config;
mod connection;
mod copy;
mod deliveries;
mod doctor;
mod eval;
mod events;
mod explain;
mod failure;
mod files;
mod geoip;
mod health;
mod journal;
mod judge;
mod keys;
mod lines;
mod link;
mod local;
mod man;
mod migrate;
mod mint;
mod nodes;
mod numbers;
mod reach;
mod rejudge;
mod rewrite;
mod ruleset;
mod serve;
mod sheet;
mod short;
mod stats;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::Failure;

/// Self-hosted redirector for e-mail that tells people from machines and shows why.
#[derive(Debug, Parser)]
#[command(name = "cupel", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer links, pixels and pages, and the API
    Serve(serve::Serve),
    /// Make, list, edit and archive campaigns
    #[command(visible_alias = "campaigns")]
    Campaign(campaign::Campaign),
    /// Register, list, edit and switch off the links of a campaign
    #[command(visible_alias = "links")]
    Link(link::Link),
    /// Make, list, edit and switch off short links
    #[command(visible_alias = "shorts")]
    Short(short::Short),
    Rewrite(rewrite::Rewrite),
    Mint(mint::Mint),
    /// Lease message numbers, to mint offline
    Numbers(numbers::Numbers),
    Stats(stats::Stats),
    /// List hits, and show how one was judged
    #[command(visible_alias = "event")]
    Events(events::Events),
    Explain(explain::Explain),
    /// Say which messages were accepted, and when
    #[command(visible_alias = "delivery")]
    Deliveries(deliveries::Deliveries),
    /// Check, show and reload the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make API keys; rotate, retire and revoke the keys that sign tokens
    #[command(visible_alias = "key")]
    Keys(keys::Keys),
    /// Look at the journal; settle it without serving
    #[command(subcommand)]
    Journal(journal::Journal),
    /// List the processes that share a store; forget one that will not come back
    #[command(visible_alias = "node")]
    Nodes(nodes::Nodes),
    Backup(backup::Backup),
    Migrate(migrate::Migrate),
    Copy(copy::Copy),
    /// Build the network table from public data
    #[command(subcommand)]
    Geoip(geoip::Geoip),
    Health(health::Health),
    Judge(judge::Judge),
    /// Check and compare rule sets; keep them, and choose the live one
    #[command(subcommand, visible_alias = "rulesets")]
    Ruleset(ruleset::RulesetCommand),
    Rejudge(rejudge::Rejudge),
    /// List what was judged again; stop one
    #[command(visible_alias = "rejudgement")]
    Rejudgements(rejudge::Rejudgements),
    Calibrate(calibrate::Calibrate),
    Eval(eval::Eval),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::ManPages),
}

/// Every command, as clap knows it: for completions, manual pages and tests.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads the arguments and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            return match error.print() {
                _ if usage => ExitCode::from(Failure::USAGE),
                Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::from(Failure::IO),
                _ => ExitCode::SUCCESS,
            };
        }
    };
    let done = match cli.command {
        Command::Serve(command) => command.run(),
        Command::Campaign(command) => command.run(),
        Command::Link(command) => command.run(),
        Command::Short(command) => command.run(),
        Command::Rewrite(command) => command.run(),
        Command::Mint(command) => command.run(),
        Command::Numbers(command) => command.run(),
        Command::Stats(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Deliveries(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Journal(command) => command.run(),
        Command::Nodes(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Migrate(command) => command.run(),
        Command::Copy(command) => command.run(),
        Command::Geoip(command) => command.run(),
        Command::Health(command) => command.run(),
        Command::Judge(command) => command.run(),
        Command::Ruleset(command) => command.run(),
        Command::Calibrate(command) => command.run(),
        Command::Rejudge(command) => command.run(),
        Command::Rejudgements(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.line.lines() {
                lines::tell(format_args!("cupel: {line}"));
            }
            ExitCode::from(failure.code)
        }
    }
}
