-- What people ask of a run from other processes: that it pauses, or that it takes up a goal. Its process takes a request once.
CREATE TABLE requests (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    what TEXT NOT NULL,
    body TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    -- What became of it, in words; NULL while it waits.
    outcome TEXT,
    settled_ms INTEGER
) STRICT;
CREATE INDEX open_requests ON requests (run) WHERE outcome IS NULL;
