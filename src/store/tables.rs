//! Every table with its columns, as data: what a whole store is, wherever it is kept. Tables that
//! others refer to come first, positions last.

/// What a column holds, and how wide PostgreSQL keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int8,
    Int4,
    Int2,
    /// 32 bits without a sign, with one in PostgreSQL.
    Bits4,
    /// 16 bits without a sign, with one in PostgreSQL.
    Bits2,
    Bool,
    Text,
    Bytes,
    /// NULL in SQLite, empty in PostgreSQL.
    BytesOrEmpty,
    /// An address prefix; text in SQLite.
    Network,
}

use Kind::{Bits2, Bits4, Bool, Bytes, BytesOrEmpty, Int2, Int4, Int8, Network, Text};

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// Places of the columns that order its rows, each in one place.
    pub(super) key: &'static [usize],
    /// Lets its numbers go on behind the highest, in PostgreSQL.
    pub(super) number_on: Option<&'static str>,
}

macro_rules! number_on {
    ($table:literal) => {
        Some(concat!(
            "SELECT setval(pg_get_serial_sequence('",
            $table,
            "', 'id'), max(id)) FROM ",
            $table,
            " HAVING max(id) IS NOT NULL"
        ))
    };
}

/// What PostgreSQL has beside them: hits that wait to be settled. Copies are made of stores where
/// none does.
pub(super) const INBOX: Table = Table {
    name: "inbox",
    columns: &[
        ("id", Int8),
        ("sequence", Int8),
        ("source", Int8),
        ("edge", Int4),
        ("shard", Int2),
        ("kind", Int2),
        ("record", Bytes),
    ],
    key: &[0],
    number_on: number_on!("inbox"),
};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "tenants",
        columns: &[
            ("id", Int8),
            ("name", Text),
            ("level", Int2),
            ("created_at", Int8),
        ],
        key: &[0],
        number_on: None,
    },
    Table {
        name: "campaigns",
        columns: &[
            ("id", Int8),
            ("tenant", Int8),
            ("name", Text),
            ("home_url", Text),
            ("level", Int2),
            ("next_number", Int8),
            ("created_at", Int8),
            ("archived_at", Int8),
        ],
        key: &[0],
        number_on: number_on!("campaigns"),
    },
    Table {
        name: "links",
        columns: &[
            ("campaign", Int8),
            ("number", Int8),
            ("kind", Int2),
            ("action", Int2),
            ("url", Text),
            ("label", Text),
            ("created_at", Int8),
            ("disabled_at", Int8),
        ],
        key: &[0, 1],
        number_on: None,
    },
    Table {
        name: "short_links",
        columns: &[
            ("id", Int8),
            ("tenant", Int8),
            ("code", Text),
            ("url", Text),
            ("created_at", Int8),
            ("expires_at", Int8),
            ("disabled_at", Int8),
        ],
        key: &[0],
        number_on: number_on!("short_links"),
    },
    Table {
        name: "api_keys",
        columns: &[
            ("id", Int8),
            ("name", Text),
            ("scope", Int2),
            ("hash", Bytes),
            ("created_at", Int8),
            ("revoked_at", Int8),
        ],
        key: &[0],
        number_on: number_on!("api_keys"),
    },
    Table {
        name: "rulesets",
        columns: &[
            ("id", Int4),
            ("name", Text),
            ("version", Int8),
            ("text", Text),
            ("created_at", Int8),
        ],
        key: &[0],
        number_on: None,
    },
    Table {
        name: "ruleset_uses",
        columns: &[
            ("id", Int8),
            ("at", Int8),
            ("ruleset", Int4),
            ("shipped", Bool),
        ],
        key: &[0],
        number_on: None,
    },
    Table {
        name: "rejudgements",
        columns: &[
            ("id", Int8),
            ("ruleset", Int4),
            ("mode", Int2),
            ("campaign", Int8),
            ("hits", Int8),
            ("begun_at", Int8),
            ("ended_at", Int8),
        ],
        key: &[0],
        number_on: number_on!("rejudgements"),
    },
    Table {
        name: "rejudged",
        columns: &[
            ("rejudgement", Int8),
            ("shard", Int2),
            ("edge", Int4),
            ("sequence", Int8),
            ("hits", Int8),
            ("changed", Int8),
            ("done", Bool),
        ],
        key: &[0, 1],
        number_on: None,
    },
    Table {
        name: "rejudged_classes",
        columns: &[
            ("rejudgement", Int8),
            ("part", Int2),
            ("of", Int8),
            ("kind", Int2),
            ("was", Int2),
            ("class", Int2),
            ("hits", Int8),
        ],
        key: &[0, 1, 2, 3, 4, 5],
        number_on: None,
    },
    Table {
        name: "edges",
        columns: &[("id", Int4), ("incarnation", Int8), ("created_at", Int8)],
        key: &[0],
        number_on: number_on!("edges"),
    },
    Table {
        name: "texts",
        columns: &[("id", Int8), ("text", Bytes)],
        key: &[0],
        number_on: None,
    },
    Table {
        name: "hits",
        columns: &[
            ("at", Int8),
            ("sequence", Int8),
            ("facts", Int8),
            ("minted_at", Int8),
            ("agent", Int8),
            ("headers", Int8),
            ("source", Int8),
            ("campaign", Bits4),
            ("link", Bits4),
            ("number", Bits4),
            ("asn", Bits4),
            ("edge", Int4),
            ("ruleset", Int4),
            ("lists", Bits2),
            ("lists_version", Bits2),
            ("revision", Int2),
            ("score", Int2),
            ("kind", Int2),
            ("method", Int2),
            ("protocol", Int2),
            ("answer", Int2),
            ("level", Int2),
            ("token", Int2),
            ("flags", Int2),
            ("class", Int2),
            ("prefix", Network),
            ("claimed", BytesOrEmpty),
        ],
        key: &[11, 1],
        number_on: None,
    },
    Table {
        name: "acts",
        columns: &[
            ("at", Int8),
            ("sequence", Int8),
            ("campaign", Int8),
            ("link", Int8),
            ("minted_at", Int8),
            ("number", Int8),
            ("edge", Int4),
            ("kind", Int2),
            ("via", Int2),
            ("recipient", Bytes),
        ],
        key: &[6, 1],
        number_on: None,
    },
    Table {
        name: "judgements",
        columns: &[
            ("sequence", Int8),
            ("facts", Int8),
            ("replaced_at", Int8),
            ("edge", Int4),
            ("ruleset", Int4),
            ("revision", Int4),
            ("score", Int2),
            ("class", Int2),
        ],
        key: &[3, 0, 4, 5],
        number_on: None,
    },
    Table {
        name: "messages",
        columns: &[
            ("campaign", Int8),
            ("minted_at", Int8),
            ("number", Int8),
            ("accepted_at", Int8),
            ("first_hit_at", Int8),
            ("recipient", Bytes),
            ("counts", Bytes),
            ("recent", Bytes),
            ("shadows", Bytes),
        ],
        key: &[0, 1, 2],
        number_on: None,
    },
    Table {
        name: "sums",
        columns: &[
            ("campaign", Int8),
            ("cell", Int8),
            ("link", Int8),
            ("hits", Int8),
            ("anonymous", Int8),
            ("ruleset", Int4),
            ("kind", Int2),
            ("class", Int2),
            ("method", Int2),
            ("counted", Bool),
        ],
        key: &[5, 0, 1, 6, 2, 7, 8, 9],
        number_on: None,
    },
    Table {
        name: "evidence",
        columns: &[
            ("week", Int8),
            ("facts", Int8),
            ("hits", Int8),
            ("kind", Int2),
        ],
        key: &[0, 3, 1],
        number_on: None,
    },
    Table {
        name: "sweeps",
        columns: &[("at", Int8), ("source", Int8), ("message", Int8)],
        key: &[0, 1, 2],
        number_on: None,
    },
    Table {
        name: "uniques",
        columns: &[
            ("campaign", Int8),
            ("link", Int8),
            ("raw", Int8),
            ("human", Int8),
            ("ruleset", Int4),
            ("kind", Int2),
        ],
        key: &[4, 0, 5, 1],
        number_on: None,
    },
    Table {
        name: "positions",
        columns: &[
            ("edge", Int4),
            ("sequence", Int8),
            ("settled_sequence", Int8),
            ("settled_to", Int8),
        ],
        key: &[0],
        number_on: None,
    },
];
