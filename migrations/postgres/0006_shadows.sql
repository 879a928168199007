-- Rule sets in shadow: a rejudgement of mode 3, whose number stands in the column ruleset of sums
-- and uniques. What stands there is what its judgements differ by from those in force, which have
-- 0. shadows: the same of the people counted of a message; its form is in src/store/shadows.rs.
ALTER TABLE messages ADD COLUMN shadows BYTEA;

-- Hits that there were before evidence was counted.
DELETE FROM evidence;
INSERT INTO evidence (week, kind, facts, hits)
SELECT at - (((at - 345600000000) % 604800000000) + 604800000000) % 604800000000, kind, facts, count(*)
FROM hits WHERE facts & 72079584270483456 <> 0 GROUP BY 1, 2, 3;

-- Rows that are written again find room where they are, and indexes need not be told.
ALTER TABLE messages SET (fillfactor = 75);
ALTER TABLE sums SET (fillfactor = 75);
