CREATE SCHEMA IF NOT EXISTS sojourn_library;
CREATE TABLE IF NOT EXISTS schema_version (
    "only"    INTEGER PRIMARY KEY CHECK ("only" = 1),
    version BIGINT NOT NULL
);
INSERT INTO schema_version VALUES (1, 1) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS events (
    seq     BIGINT PRIMARY KEY,
    at_ms   BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    payload TEXT   NOT NULL,
    source  TEXT UNIQUE
);
CREATE TABLE IF NOT EXISTS skills (
    id          TEXT PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    version     BIGINT  NOT NULL,
    status      TEXT    NOT NULL,
    active      BOOLEAN NOT NULL,
    description TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    created_ms  BIGINT  NOT NULL,
    successes   BIGINT  NOT NULL,
    failures    BIGINT  NOT NULL,
    deaths      BIGINT  NOT NULL,
    steps       BIGINT  NOT NULL,
    last_error  TEXT,
    UNIQUE (name, version)
);
