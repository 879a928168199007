-- Which rule set is live: the one of the last row. shipped: it came with the program, and a newer
-- one that does takes its place. Each has the number behind the one before it.
CREATE TABLE ruleset_uses (
    id INTEGER PRIMARY KEY,
    ruleset INTEGER NOT NULL REFERENCES rulesets (id),
    at INTEGER NOT NULL,
    shipped INTEGER NOT NULL
) STRICT;

-- The shipped one changes while a version is made; what others keep has one text.
CREATE UNIQUE INDEX rulesets_by_version ON rulesets (name, version) WHERE name <> 'default';

-- What is judged again by a rule set. mode: 1 only to see what would change, 2 in force.
-- hits: how many there were when it began.
CREATE TABLE rejudgements (
    id INTEGER PRIMARY KEY,
    ruleset INTEGER NOT NULL REFERENCES rulesets (id),
    mode INTEGER NOT NULL,
    campaign INTEGER,
    hits INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

-- How far it is: what stands up to this hit, of this shard, has been looked at.
CREATE TABLE rejudged (
    rejudgement INTEGER NOT NULL REFERENCES rejudgements (id),
    shard INTEGER NOT NULL,
    edge INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    done INTEGER NOT NULL,
    PRIMARY KEY (rejudgement, shard)
) STRICT, WITHOUT ROWID;

-- Hits that got another class. part: 1 campaigns, 2 signals; of: the campaign's number, the
-- signal's bit.
CREATE TABLE rejudged_classes (
    rejudgement INTEGER NOT NULL REFERENCES rejudgements (id),
    part INTEGER NOT NULL,
    of INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    was INTEGER NOT NULL,
    class INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    PRIMARY KEY (rejudgement, part, of, kind, was, class)
) STRICT, WITHOUT ROWID;
