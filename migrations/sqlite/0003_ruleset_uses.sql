-- Which rule set is live: the one of the last row. shipped: it came with the program, and a newer
-- one that does takes its place.
CREATE TABLE ruleset_uses (
    id INTEGER PRIMARY KEY,
    ruleset INTEGER NOT NULL REFERENCES rulesets (id),
    at INTEGER NOT NULL,
    shipped INTEGER NOT NULL
) STRICT;
