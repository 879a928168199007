-- Schema version 2 for PostgreSQL: several edges and several settlers on one store, and a catalogue
-- that all of them follow. What each table and column means is in docs/data-model.md.

-- The server's time in microseconds: leases and silences are told by one clock.
CREATE FUNCTION cupel_now() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT $$;

-- Moves with every round of an edge, also with one that has nothing to write.
ALTER TABLE positions
    ADD COLUMN shipped_to BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;

CREATE TABLE settlers (
    id BIGINT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);

-- Leases. turn guards what is settled as sequence guards what is shipped.
CREATE TABLE shards (
    id SMALLINT PRIMARY KEY,
    turn BIGINT NOT NULL,
    holder BIGINT,
    held_until BIGINT NOT NULL,
    settled_to BIGINT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO shards (id, turn, held_until, settled_to)
SELECT id, 0, 0, 0 FROM generate_series(0, 15) AS id;

CREATE TABLE lanes (
    shard SMALLINT NOT NULL REFERENCES shards (id),
    edge INTEGER NOT NULL REFERENCES edges (id),
    settled_sequence BIGINT NOT NULL,
    PRIMARY KEY (shard, edge)
) WITH (fillfactor = 50);

-- Rows come and go: what is dead is cleared away by its number, not by its share.
CREATE TABLE inbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence BIGINT NOT NULL,
    source BIGINT,
    edge INTEGER NOT NULL,
    shard SMALLINT NOT NULL,
    kind SMALLINT NOT NULL,
    record BYTEA NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000000000
);

-- Sealed with the installation's keys, which are in no database.
CREATE TABLE day_keys (
    day BIGINT PRIMARY KEY,
    sealed BYTEA NOT NULL
);

CREATE TABLE installation (
    one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    mark BYTEA NOT NULL,
    ring_version BIGINT NOT NULL,
    ring BYTEA NOT NULL
);

-- The transaction that changed a row last: edges ask for what has changed since they asked.
ALTER TABLE campaigns ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE short_links ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;

CREATE INDEX campaigns_changed ON campaigns (changed);
CREATE INDEX links_changed ON links (changed);
CREATE INDEX short_links_changed ON short_links (changed);

CREATE FUNCTION cupel_mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;

CREATE FUNCTION cupel_tell_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('cupel_catalogue', '');
    RETURN NULL;
END $$;

-- Not when message numbers are reserved.
CREATE TRIGGER mark_changed BEFORE INSERT OR UPDATE OF name, home_url, level, archived_at
    ON campaigns FOR EACH ROW EXECUTE FUNCTION cupel_mark_changed();
CREATE TRIGGER mark_changed BEFORE INSERT OR UPDATE
    ON links FOR EACH ROW EXECUTE FUNCTION cupel_mark_changed();
CREATE TRIGGER mark_changed BEFORE INSERT OR UPDATE
    ON short_links FOR EACH ROW EXECUTE FUNCTION cupel_mark_changed();
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE OF name, home_url, level, archived_at
    ON campaigns FOR EACH STATEMENT EXECUTE FUNCTION cupel_tell_changed();
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE
    ON links FOR EACH STATEMENT EXECUTE FUNCTION cupel_tell_changed();
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE
    ON short_links FOR EACH STATEMENT EXECUTE FUNCTION cupel_tell_changed();
CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE
    ON installation FOR EACH STATEMENT EXECUTE FUNCTION cupel_tell_changed();
