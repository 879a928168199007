//! `cupel geoip`: the network table.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde_json::json;

use crate::network::{self, NetworkError};

use super::Failure;
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
        /// Where the table is written
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
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
            source,
            json,
        } = self;
        let built = network::build(&ipv4, &ipv6, &out, &source).map_err(refused)?;
        let mut lines = Lines::new();
        if json {
            lines.say(json!({
                "ranges_v4": built.ranges_v4,
                "ranges_v6": built.ranges_v6,
                "overlapping": built.overlapping,
                "networks": built.asns,
                "bytes": built.bytes,
            }));
        } else {
            lines.say(format_args!(
                "{}: {} IPv4 and {} IPv6 ranges of {} networks, {} bytes",
                out.display(),
                built.ranges_v4,
                built.ranges_v6,
                built.asns,
                built.bytes
            ));
        }
        lines.finish()
    }
}

fn refused(error: NetworkError) -> Failure {
    let code = match &error {
        NetworkError::Io { action, .. } if *action == "read" => Failure::NO_INPUT,
        NetworkError::Io { source, .. } if source.kind() == ErrorKind::StorageFull => Failure::IO,
        NetworkError::Io { .. } => Failure::CANNOT_CREATE,
        _ => Failure::DATA,
    };
    Failure::new(code, error)
}
