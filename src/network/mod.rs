//! Facts about the network that a hit came from: its autonomous system and the lists it is on,
//! from tables in memory. It owns those tables, their file forms and their making. It refuses to
//! ask the network, to wait and to judge.

mod build;
mod csv_import;
mod draft;
mod error;
mod file;
mod file_payload;
mod lists;
mod mmdb;
#[cfg(test)]
mod mmdb_fixture;
mod ranges;
mod reload;
mod table;

use std::net::IpAddr;
use std::sync::Mutex;

use arc_swap::ArcSwap;

pub use build::{Built, build};
pub use draft::DraftLists;
pub use error::NetworkError;
pub use file::is_table;
pub use lists::NetworkLists;
pub use table::{AsnTable, TABLE_FILE_BYTES_MAX};

use crate::domain::network::NetworkFacts;
use crate::domain::time::Micros;

use reload::Seen;

/// The tables in use. The ASN table can be replaced at any time without stopping a reader.
#[derive(Debug)]
pub struct Networks {
    table: ArcSwap<AsnTable>,
    lists: NetworkLists,
    /// The file that the table is from, or that was refused last.
    seen: Mutex<Seen>,
}

impl Networks {
    /// Facts from these tables.
    #[must_use]
    pub fn new(table: AsnTable, lists: NetworkLists) -> Self {
        Self {
            table: ArcSwap::from_pointee(table),
            lists,
            seen: Mutex::default(),
        }
    }

    /// Facts from the tables compiled into the program.
    ///
    /// # Errors
    /// Only if the program was built from damaged data.
    pub fn shipped() -> Result<Self, NetworkError> {
        Ok(Self::new(AsnTable::shipped()?, NetworkLists::shipped()?))
    }

    /// What the tables say of an address, in well under a microsecond. IPv4-mapped IPv6 counts
    /// as IPv4.
    #[must_use]
    pub fn facts(&self, address: IpAddr) -> NetworkFacts {
        let asn = self.table.load().lookup(address);
        let lists = self.lists.of(address, asn);
        NetworkFacts {
            asn,
            lists,
            lists_version: self.lists.version(),
        }
    }

    /// Name of the organisation that runs an autonomous system.
    #[must_use]
    pub fn organisation(&self, asn: u32) -> Option<String> {
        self.table.load().organisation(asn).map(str::to_owned)
    }

    /// What the ASN table in use was made from, with the version or date of the data.
    #[must_use]
    pub fn table_source(&self) -> String {
        self.table.load().source().to_owned()
    }

    /// When the ASN table in use was built, as far as its source says.
    #[must_use]
    pub fn table_built_at(&self) -> Option<Micros> {
        self.table.load().built_at()
    }

    /// Takes another ASN table into use. Lookups under way finish with the one before.
    pub fn replace(&self, table: AsnTable) {
        self.table.store(table.into());
    }
}
