-- What a daemon keeps alive. A removed schedule stays for its history; its name is free again.
CREATE TABLE schedules (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    agent TEXT NOT NULL,
    arguments TEXT NOT NULL,
    timing TEXT NOT NULL,
    missed TEXT NOT NULL,
    overlap TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    -- Every due time up to here is recorded in `jobs`.
    seen_ms INTEGER NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    removed_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX schedule_names ON schedules (name) WHERE removed_ms IS NULL;

-- Due times. The row is written before the run starts; the run's id is chosen with it.
CREATE TABLE jobs (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule INTEGER NOT NULL REFERENCES schedules (no),
    due_ms INTEGER NOT NULL,
    run TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Earlier due times that nobody was there for, and that this row stands for.
    missed INTEGER NOT NULL DEFAULT 0,
    recorded_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    starts INTEGER NOT NULL DEFAULT 0,
    -- Deaths in a row without a new record, and the last record at the latest of them.
    deaths INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,
    -- Not started again before this time.
    not_before_ms INTEGER NOT NULL DEFAULT 0,
    why TEXT,
    UNIQUE (schedule, due_ms)
) STRICT;
CREATE INDEX open_jobs ON jobs (state) WHERE ended_ms IS NULL;

-- Calls of tools that a person is to approve, and the answers.
CREATE TABLE approvals (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    call TEXT NOT NULL,
    reason TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    on_timeout TEXT NOT NULL,
    state TEXT NOT NULL,
    answered_ms INTEGER,
    answered_by TEXT
) STRICT;
CREATE INDEX approvals_of_runs ON approvals (run, hash);

-- Messages to people, one row for each channel, until they are delivered or given up.
CREATE TABLE outbox (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    agent TEXT NOT NULL,
    channel TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    failure TEXT
) STRICT;
CREATE INDEX open_messages ON outbox (next_ms) WHERE ended_ms IS NULL;

-- What each process that carries out a run reported last. Not part of any log.
CREATE TABLE heartbeats (
    run TEXT PRIMARY KEY,
    process INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    report TEXT NOT NULL
) STRICT;
