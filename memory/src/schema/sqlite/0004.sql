-- Whether a memory was made of text from outside. Passages of documents always are.
ALTER TABLE memories ADD COLUMN untrusted INTEGER NOT NULL DEFAULT 0;
UPDATE memories SET untrusted = 1 WHERE kind = 'knowledge';

-- Runs that were recorded in another home, by row number, and their forks.
CREATE TABLE imported_runs (
    run INTEGER PRIMARY KEY
) STRICT;
