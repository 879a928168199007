//! Rows as `COPY … (FORMAT binary)` takes them: a header, fields of big-endian values behind their
//! lengths, and an end.

use std::net::IpAddr;

use ipnet::IpNet;
use sqlx::PgConnection;

use super::super::StoreError;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// Bytes of one message; a large one costs memory on both sides and saves nothing.
const CHUNK_BYTES: usize = 256 << 10;
/// Address families as PostgreSQL numbers them.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// Rows for one table.
pub(super) struct Rows {
    bytes: Vec<u8>,
}

impl Rows {
    /// For about so many rows of about so many bytes.
    pub(super) fn with_room(rows: usize, row_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER.len() + rows * row_bytes + END.len());
        bytes.extend_from_slice(HEADER);
        Self { bytes }
    }

    /// Begins a row of so many fields.
    pub(super) fn row(&mut self, fields: i16) -> &mut Self {
        self.bytes.extend_from_slice(&fields.to_be_bytes());
        self
    }

    pub(super) fn int8(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int8_or_null(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.int8(value),
            None => self.null(),
        }
    }

    pub(super) fn int4(&mut self, value: i32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn int4_or_null(&mut self, value: Option<i32>) -> &mut Self {
        match value {
            Some(value) => self.int4(value),
            None => self.null(),
        }
    }

    pub(super) fn int2(&mut self, value: i16) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.field(value)
    }

    pub(super) fn bytes_or_null(&mut self, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.field(value),
            None => self.null(),
        }
    }

    /// A network: family, length of the mask, that it is a network, bytes of the address.
    pub(super) fn cidr_or_null(&mut self, value: Option<IpNet>) -> &mut Self {
        let Some(network) = value else {
            return self.null();
        };
        let mask = network.prefix_len();
        match network.network() {
            IpAddr::V4(address) => {
                self.length(8).bytes.extend_from_slice(&[IPV4, mask, 1, 4]);
                self.bytes.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                self.length(20)
                    .bytes
                    .extend_from_slice(&[IPV6, mask, 1, 16]);
                self.bytes.extend_from_slice(&address.octets());
            }
        }
        self
    }

    fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&NULL);
        self
    }

    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        // No field of ours comes near 2 GiB.
        self.length(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn length(&mut self, bytes: i32) -> &mut Self {
        self.bytes.extend_from_slice(&bytes.to_be_bytes());
        self
    }

    /// Sends them by this statement.
    pub(super) async fn copy(
        mut self,
        on: &mut PgConnection,
        statement: &str,
    ) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(&END);
        let mut into = on.copy_in_raw(statement).await?;
        for chunk in self.bytes.chunks(CHUNK_BYTES) {
            into.send(chunk).await?;
        }
        into.finish().await?;
        Ok(())
    }
}
