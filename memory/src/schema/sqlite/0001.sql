-- One row per run. The first record is chained to a genesis hash over the immutable columns.
-- `last_*` and `head` change in the transaction that writes records.
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
-- checksum if that is smaller. `blobs` is the concatenation of blob addresses, 32 bytes each.
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

-- The blob store. `id` is the SHA-256 of the content, `size` its length in bytes; `packed` is 1 if `body` is compressed.
CREATE TABLE blobs (
    no     INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL UNIQUE,
    size   INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

-- Logical clock: counts the changes of memory that recall can observe. `made`, `closed` and `tick` below are its
-- values, so that a recall can be repeated as of any of them.
CREATE TABLE memory_clock (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    tick INTEGER NOT NULL
) STRICT;
INSERT INTO memory_clock VALUES (1, 0);

-- Episodic memory. `run`, `seq` and `ordinal` identify the source record; `closed` is the tick at which `valid_to_ms`
-- was set.
CREATE TABLE memories (
    no            INTEGER PRIMARY KEY AUTOINCREMENT,
    id            BLOB    NOT NULL UNIQUE,
    tenant        TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    text          TEXT    NOT NULL,
    importance    REAL    NOT NULL,
    event_time_ms INTEGER NOT NULL,
    environment   TEXT,
    run           TEXT,
    seq           INTEGER NOT NULL,
    ordinal       INTEGER NOT NULL,
    expires_at_ms INTEGER,
    valid_to_ms   INTEGER,
    pinned        INTEGER NOT NULL,
    content_hash  BLOB    NOT NULL,
    helpful       INTEGER NOT NULL DEFAULT 0,
    harmful       INTEGER NOT NULL DEFAULT 0,
    made          INTEGER NOT NULL,
    closed        INTEGER
) STRICT;
CREATE INDEX memories_by_made ON memories (made);
CREATE INDEX memories_by_closed ON memories (closed) WHERE closed IS NOT NULL;
CREATE INDEX memories_by_tenant ON memories (tenant, made);

-- The log records that a memory was derived from.
CREATE TABLE memory_sources (
    memory INTEGER NOT NULL REFERENCES memories (no) ON DELETE CASCADE,
    run    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (memory, run, seq)
) STRICT, WITHOUT ROWID;

-- Embedding models. The dimension of a model never changes.
CREATE TABLE memory_models (
    no        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    dimension INTEGER NOT NULL
) STRICT;

-- Unit vectors as little-endian f32.
CREATE TABLE memory_vectors (
    memory INTEGER NOT NULL REFERENCES memories (no) ON DELETE CASCADE,
    model  INTEGER NOT NULL REFERENCES memory_models (no),
    vector BLOB    NOT NULL,
    tick   INTEGER NOT NULL,
    UNIQUE (memory, model)
) STRICT;
CREATE INDEX memory_vectors_by_tick ON memory_vectors (tick);

-- Ids of deleted memories, so that other processes remove them from their indexes.
CREATE TABLE memory_tombstones (
    tick INTEGER PRIMARY KEY,
    id   BLOB NOT NULL
) STRICT;

-- Full-text index for search by users.
CREATE VIRTUAL TABLE memory_words USING fts5 (text, content = 'memories', content_rowid = 'no');
INSERT INTO memory_words (memory_words, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER memory_words_insert AFTER INSERT ON memories BEGIN
    INSERT INTO memory_words (rowid, text) VALUES (new.no, new.text);
END;
CREATE TRIGGER memory_words_delete AFTER DELETE ON memories BEGIN
    INSERT INTO memory_words (memory_words, rowid, text) VALUES ('delete', old.no, old.text);
END;
