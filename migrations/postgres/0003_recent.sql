-- The hits of a message that its next ones are judged with; their form is in src/store/recent.rs.
ALTER TABLE messages ADD COLUMN recent BYTEA;
