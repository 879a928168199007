-- Schema version 1. What each table and column means, and how many bytes it costs, is in
-- docs/data-model.md. Times are microseconds since the Unix epoch; codes are those of
-- src/domain (coded enums) and never change.

CREATE TABLE tenants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    level INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    home_url TEXT NOT NULL,
    level INTEGER NOT NULL,
    next_number INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    archived_at INTEGER
) STRICT;

CREATE TABLE links (
    campaign INTEGER NOT NULL REFERENCES campaigns (id),
    number INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    action INTEGER,
    url TEXT NOT NULL,
    label TEXT,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER,
    PRIMARY KEY (campaign, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE short_links (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    code TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    disabled_at INTEGER
) STRICT;

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    scope INTEGER NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE rulesets (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE edges (
    id INTEGER PRIMARY KEY,
    incarnation INTEGER NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Guards exactly-once counting: moves in the transaction that writes rows and sums.
CREATE TABLE positions (
    edge INTEGER PRIMARY KEY REFERENCES edges (id),
    sequence INTEGER NOT NULL,
    settled_sequence INTEGER NOT NULL,
    settled_to INTEGER NOT NULL
) STRICT;

CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    text BLOB NOT NULL
) STRICT;

CREATE TABLE hits (
    edge INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    method INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    answer INTEGER NOT NULL,
    level INTEGER NOT NULL,
    token INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    link INTEGER NOT NULL,
    minted_at INTEGER,
    number INTEGER,
    agent INTEGER,
    headers INTEGER,
    asn INTEGER NOT NULL,
    lists INTEGER NOT NULL,
    lists_version INTEGER NOT NULL,
    prefix TEXT,
    source INTEGER,
    claimed BLOB,
    facts INTEGER NOT NULL,
    ruleset INTEGER NOT NULL,
    score INTEGER NOT NULL,
    class INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (edge, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX hits_of_campaign ON hits (campaign, edge, sequence);

-- Presses and unsubscribes that took effect, whatever the privacy level says of hits.
CREATE TABLE acts (
    edge INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    link INTEGER NOT NULL,
    minted_at INTEGER NOT NULL,
    number INTEGER NOT NULL,
    recipient BLOB,
    via INTEGER,
    PRIMARY KEY (edge, sequence)
) STRICT, WITHOUT ROWID;

-- Judgements that a later one has replaced, and those of rule sets that are not live.
CREATE TABLE judgements (
    edge INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    ruleset INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    facts INTEGER NOT NULL,
    score INTEGER NOT NULL,
    class INTEGER NOT NULL,
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (edge, sequence, ruleset, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    campaign INTEGER NOT NULL,
    minted_at INTEGER NOT NULL,
    number INTEGER NOT NULL,
    recipient BLOB,
    accepted_at INTEGER,
    first_hit_at INTEGER,
    counts BLOB NOT NULL,
    PRIMARY KEY (campaign, minted_at, number)
) STRICT, WITHOUT ROWID;

-- cell is the start of a quarter of an hour, or 0 for all time.
CREATE TABLE sums (
    ruleset INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    cell INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    link INTEGER NOT NULL,
    class INTEGER NOT NULL,
    method INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    anonymous INTEGER NOT NULL,
    PRIMARY KEY (ruleset, campaign, cell, kind, link, class, method, counted)
) STRICT, WITHOUT ROWID;

-- link is -1 for the campaign as a whole.
CREATE TABLE uniques (
    ruleset INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    link INTEGER NOT NULL,
    raw INTEGER NOT NULL,
    human INTEGER NOT NULL,
    PRIMARY KEY (ruleset, campaign, kind, link)
) STRICT, WITHOUT ROWID;
