-- One row per run. `genesis` is what the first record is chained to: a hash over the columns that never
-- change. `last_*` and `head` change in the transaction that writes records.
CREATE TABLE runs (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    created_ms  INTEGER NOT NULL,
    environment TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    parent_run  TEXT,
    parent_seq  INTEGER,
    title       TEXT,
    status      TEXT    NOT NULL,
    last_seq    INTEGER NOT NULL DEFAULT 0,
    last_at_ms  INTEGER NOT NULL,
    head        BLOB    NOT NULL
) STRICT;

-- The log. `place` is the order of writing over all runs. `payload` is JSON text, or a zstd frame with a
-- checksum when that is smaller; `blobs` is their addresses, 32 bytes each, end to end.
CREATE TABLE records (
    place   INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (no),
    seq     INTEGER NOT NULL,
    v       INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    payload ANY     NOT NULL,
    blobs   BLOB,
    hash    BLOB    NOT NULL,
    UNIQUE (run, seq)
) STRICT;

-- Content by its SHA-256, each once. `size` is that of the content; `packed` says that `body` is compressed.
CREATE TABLE blobs (
    no     INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL UNIQUE,
    size   INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;
