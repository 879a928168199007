//! `cupel geoip`: the network table.

use std::path::PathBuf;

use serde_json::json;

use crate::network::{self, NetworkError};

use super::Failure;
use super::files::{is_stream, is_there, write_whole};
use super::lines::Lines;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Geoip {
    /// Build an ASN table from the CSV files of npm @ip-location-db/asn
    ///
    /// Example: cupel geoip build --ipv4 asn-ipv4.csv --ipv6 asn-ipv6.csv --out geoip/asn.cupel
    Build {
        /// CSV of IPv4 ranges: first, last, AS number, organisation
        #[arg(long, value_name = "FILE")]
        ipv4: PathBuf,
        /// CSV of IPv6 ranges
        #[arg(long, value_name = "FILE")]
        ipv6: PathBuf,
        /// Where the table is written, whole or not at all; a table that is there is replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace what --out names even if it is no such table
        #[arg(long)]
        force: bool,
        /// What the data is and of when; shown by /readyz?verbose
        #[arg(long, default_value = "npm @ip-location-db/asn")]
        source: String,
        /// Print {"ranges_v4", "ranges_v6", "overlapping", "networks", "bytes"} as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Geoip {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::Build {
            ipv4,
            ipv6,
            out,
            force,
            source,
            json,
        } = self;
        // Who reads a pipe before it is written waits for ever.
        let table = !is_stream(&out) && network::is_table(&out);
        if !(force || table || is_stream(&out) || !out.exists()) {
            return Err(is_there(&out).and("it is no table made by this command"));
        }
        let built = network::build(&ipv4, &ipv6, &source).map_err(refused)?;
        write_whole(&out, &built.file, force || table)?;
        if is_stream(&out) {
            return Ok(());
        }
        let mut lines = Lines::new();
        if json {
            lines.say(json!({
                "ranges_v4": built.ranges_v4,
                "ranges_v6": built.ranges_v6,
                "overlapping": built.overlapping,
                "networks": built.asns,
                "bytes": built.file.len(),
            }));
        } else {
            lines.say(format_args!(
                "{}: {} IPv4 and {} IPv6 ranges of {} networks, {} bytes",
                out.display(),
                built.ranges_v4,
                built.ranges_v6,
                built.asns,
                built.file.len()
            ));
        }
        lines.finish()
    }
}

fn refused(error: NetworkError) -> Failure {
    let code = match &error {
        NetworkError::Io { .. } => Failure::NO_INPUT,
        _ => Failure::DATA,
    };
    Failure::new(code, error)
}
