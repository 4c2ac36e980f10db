-- The tables of `../sqlite` at version 6, with the types of PostgreSQL. Texts that are sorted or searched by their beginning have the
-- collation "C": their order is that of their bytes, as in SQLite.

-- One row per run. `epoch` is the fencing token: it grows whenever a process takes the run over, and an append names the epoch that
-- it was made under. `owner` may write until `leased_until`.
CREATE TABLE runs (
    no           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id           TEXT COLLATE "C" NOT NULL UNIQUE,
    created_ms   BIGINT NOT NULL,
    environment  TEXT   NOT NULL,
    model        TEXT   NOT NULL,
    parent_run   TEXT,
    parent_seq   BIGINT,
    title        TEXT,
    status       TEXT   NOT NULL,
    last_seq     BIGINT NOT NULL DEFAULT 0,
    last_at_ms   BIGINT NOT NULL,
    head         BYTEA  NOT NULL,
    epoch        BIGINT NOT NULL DEFAULT 0,
    owner        TEXT,
    leased_until TIMESTAMPTZ
);

CREATE TABLE records (
    place   BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run     BIGINT NOT NULL REFERENCES runs (no),
    seq     BIGINT NOT NULL,
    v       BIGINT NOT NULL,
    at_ms   BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    payload BYTEA  NOT NULL,
    blobs   BYTEA,
    hash    BYTEA  NOT NULL,
    UNIQUE (run, seq)
);
-- Payloads are compressed before they are written.
ALTER TABLE records ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE blobs (
    no     BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id     BYTEA  NOT NULL UNIQUE,
    size   BIGINT NOT NULL,
    packed BIGINT NOT NULL,
    body   BYTEA  NOT NULL
);
ALTER TABLE blobs ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE forgotten_records (
    run BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE TABLE forgotten_blobs (
    id BYTEA PRIMARY KEY
);
CREATE TABLE imported_runs (
    run  BIGINT PRIMARY KEY,
    last BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE memory_clock (
    "only" INTEGER PRIMARY KEY CHECK ("only" = 1),
    tick BIGINT NOT NULL
);
INSERT INTO memory_clock VALUES (1, 0);

CREATE TABLE memory_store (
    "only"    INTEGER PRIMARY KEY CHECK ("only" = 1),
    mark    BYTEA  NOT NULL,
    folding BIGINT NOT NULL DEFAULT 0
);
INSERT INTO memory_store ("only", mark) VALUES (1, uuid_send(gen_random_uuid()));

CREATE TABLE memory_documents (
    no           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant       TEXT COLLATE "C" NOT NULL,
    uri          TEXT COLLATE "C" NOT NULL,
    title        TEXT,
    content_hash BYTEA  NOT NULL,
    added_ms     BIGINT NOT NULL,
    UNIQUE (tenant, uri)
);

-- `words` are the distinct words of the text, as a search spells them.
CREATE TABLE memories (
    no            BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id            BYTEA  NOT NULL UNIQUE,
    tenant        TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    text          TEXT   NOT NULL,
    importance    DOUBLE PRECISION NOT NULL,
    event_time_ms BIGINT NOT NULL,
    environment   TEXT,
    run           TEXT COLLATE "C",
    seq           BIGINT NOT NULL,
    ordinal       BIGINT NOT NULL,
    expires_at_ms BIGINT,
    valid_to_ms   BIGINT,
    pinned        BOOLEAN NOT NULL,
    content_hash  BYTEA  NOT NULL,
    helpful       BIGINT NOT NULL DEFAULT 0,
    harmful       BIGINT NOT NULL DEFAULT 0,
    made          BIGINT NOT NULL,
    closed        BIGINT,
    valid_from_ms BIGINT,
    superseded_by BYTEA,
    changed       BIGINT,
    document      BIGINT REFERENCES memory_documents (no),
    position      BIGINT,
    blob          BYTEA,
    media_type    TEXT,
    folded        TEXT,
    untrusted     BOOLEAN NOT NULL DEFAULT false,
    words         TEXT[]
);
CREATE INDEX memories_by_made ON memories (made);
CREATE INDEX memories_by_tenant ON memories (tenant, made);
CREATE INDEX memories_by_changed ON memories (changed) WHERE changed IS NOT NULL;
CREATE INDEX memories_by_document ON memories (document) WHERE document IS NOT NULL;
CREATE INDEX memories_by_content ON memories (content_hash);
CREATE INDEX memories_by_words ON memories USING gin (words);

CREATE TABLE memory_sources (
    memory BIGINT NOT NULL REFERENCES memories (no) ON DELETE CASCADE,
    run    TEXT COLLATE "C" NOT NULL,
    seq    BIGINT NOT NULL,
    PRIMARY KEY (memory, run, seq)
);
CREATE TABLE memory_models (
    no        BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name      TEXT COLLATE "C" NOT NULL UNIQUE,
    dimension BIGINT NOT NULL
);
CREATE TABLE memory_vectors (
    memory BIGINT NOT NULL REFERENCES memories (no) ON DELETE CASCADE,
    model  BIGINT NOT NULL REFERENCES memory_models (no),
    vector BYTEA  NOT NULL,
    tick   BIGINT NOT NULL,
    UNIQUE (memory, model)
);
CREATE INDEX memory_vectors_by_tick ON memory_vectors (tick);
CREATE TABLE memory_tombstones (
    tick BIGINT PRIMARY KEY,
    id   BYTEA NOT NULL
);
CREATE TABLE memory_consolidations (
    tenant TEXT COLLATE "C" NOT NULL,
    run    TEXT COLLATE "C" NOT NULL,
    seq    BIGINT NOT NULL,
    PRIMARY KEY (tenant, run, seq)
);

CREATE TABLE schedules (
    no         BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name       TEXT COLLATE "C" NOT NULL,
    agent      TEXT   NOT NULL,
    arguments  TEXT   NOT NULL,
    timing     TEXT   NOT NULL,
    missed     TEXT   NOT NULL,
    overlap    TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    seen_ms    BIGINT NOT NULL,
    paused     BOOLEAN NOT NULL DEFAULT false,
    removed_ms BIGINT
);
CREATE UNIQUE INDEX schedule_names ON schedules (name) WHERE removed_ms IS NULL;

CREATE TABLE jobs (
    no            BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    schedule      BIGINT NOT NULL REFERENCES schedules (no),
    due_ms        BIGINT NOT NULL,
    run           TEXT   NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    missed        BIGINT NOT NULL DEFAULT 0,
    recorded_ms   BIGINT NOT NULL,
    started_ms    BIGINT,
    ended_ms      BIGINT,
    starts        BIGINT NOT NULL DEFAULT 0,
    deaths        BIGINT NOT NULL DEFAULT 0,
    last_seq      BIGINT NOT NULL DEFAULT 0,
    not_before_ms BIGINT NOT NULL DEFAULT 0,
    why           TEXT,
    UNIQUE (schedule, due_ms)
);
CREATE INDEX open_jobs ON jobs (state) WHERE ended_ms IS NULL;

CREATE TABLE approvals (
    no          BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run         TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    hash        TEXT   NOT NULL,
    call        TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    asked_ms    BIGINT NOT NULL,
    expires_ms  BIGINT,
    on_timeout  TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    answered_ms BIGINT,
    answered_by TEXT
);
CREATE INDEX approvals_of_runs ON approvals (run, hash);

CREATE TABLE outbox (
    no       BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run      TEXT   NOT NULL,
    agent    TEXT   NOT NULL,
    channel  TEXT   NOT NULL,
    event    TEXT   NOT NULL,
    body     TEXT   NOT NULL,
    at_ms    BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_ms  BIGINT NOT NULL,
    ended_ms BIGINT,
    failure  TEXT
);
CREATE INDEX open_messages ON outbox (next_ms) WHERE ended_ms IS NULL;

-- What people ask of a run from other processes: that it pauses, or that it takes up a goal. Its process takes a request once.
CREATE TABLE requests (
    no         BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run        TEXT   NOT NULL,
    what       TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    asked_by   TEXT   NOT NULL,
    asked_ms   BIGINT NOT NULL,
    outcome    TEXT,
    settled_ms BIGINT
);
CREATE INDEX open_requests ON requests (run) WHERE outcome IS NULL;

CREATE TABLE heartbeats (
    run     TEXT COLLATE "C" PRIMARY KEY,
    process BIGINT NOT NULL,
    at_ms   BIGINT NOT NULL,
    report  TEXT   NOT NULL
);

-- Runs that wait for a worker. Whoever has the newest claim may settle one.
CREATE TABLE queue (
    no           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run          TEXT COLLATE "C" NOT NULL UNIQUE,
    path         TEXT   NOT NULL,
    agent        TEXT   NOT NULL,
    arguments    TEXT   NOT NULL,
    labels       TEXT   NOT NULL,
    state        TEXT   NOT NULL DEFAULT 'queued',
    worker       TEXT,
    claim        BIGINT NOT NULL DEFAULT 0,
    leased_until TIMESTAMPTZ,
    not_before   TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    deaths       BIGINT NOT NULL DEFAULT 0,
    last_seq     BIGINT NOT NULL DEFAULT 0,
    submitted_ms BIGINT NOT NULL,
    started_ms   BIGINT,
    ended_ms     BIGINT,
    why          TEXT
);
CREATE INDEX open_queue ON queue (no) WHERE ended_ms IS NULL;

-- Workers sleep until a run can be claimed.
CREATE FUNCTION wake_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY sojourn_queue;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_wakes AFTER INSERT OR UPDATE ON queue
    FOR EACH ROW WHEN (NEW.state = 'queued') EXECUTE FUNCTION wake_workers();
CREATE TRIGGER answer_wakes AFTER UPDATE ON approvals
    FOR EACH ROW WHEN (OLD.state = 'pending' AND NEW.state != 'pending') EXECUTE FUNCTION wake_workers();

-- Functions of SQLite that statements for both engines use.
CREATE FUNCTION json_each(list TEXT) RETURNS TABLE (value TEXT)
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT jsonb_array_elements_text(list::jsonb) $$;
CREATE FUNCTION unhex(digits TEXT) RETURNS BYTEA
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT decode(digits, 'hex') $$;
CREATE FUNCTION instr(haystack TEXT, needle TEXT) RETURNS INTEGER
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT strpos(haystack, needle) $$;
