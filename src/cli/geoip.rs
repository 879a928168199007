//! `cupel geoip`: the network table.

use std::path::PathBuf;

use crate::network;

use super::Failure;

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
    },
}

impl Geoip {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::Build {
            ipv4,
            ipv6,
            out,
            source,
        } = self;
        let built = network::build(&ipv4, &ipv6, &out, &source);
        let report = built.map_err(|error| Failure::new(Failure::DATA, error))?;
        println!(
            "{}: {} IPv4 and {} IPv6 ranges of {} networks, {} bytes",
            out.display(),
            report.ranges_v4,
            report.ranges_v6,
            report.asns,
            report.bytes
        );
        Ok(())
    }
}
