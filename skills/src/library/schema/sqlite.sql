CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    source TEXT UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS skills (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    active INTEGER NOT NULL,
    description TEXT NOT NULL,
    environment TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    successes INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    last_error TEXT,
    UNIQUE (name, version)
) STRICT;
