-- Hits of which something else than their judgement says whose they are, by the facts that they
-- are judged on. week is when it began, Monday at midnight.
CREATE TABLE evidence (
    week BIGINT NOT NULL,
    facts BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    PRIMARY KEY (week, kind, facts)
);
