-- Messages that were swept, the first few of each source and day, for two days. source: CRC32C of
-- its network prefix, shifted by 32, and 32 bits of the id of its agent. message: a CRC32C too.
CREATE TABLE sweeps (
    at INTEGER NOT NULL,
    source INTEGER NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (at, source, message)
) STRICT, WITHOUT ROWID;
