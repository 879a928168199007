-- Hits of which something else than their judgement says whose they are, by the facts that they
-- are judged on. week is when it began, Monday at midnight.
CREATE TABLE evidence (
    week INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    facts INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    PRIMARY KEY (week, kind, facts)
) STRICT, WITHOUT ROWID;
