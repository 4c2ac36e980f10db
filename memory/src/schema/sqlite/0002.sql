-- Random id of this store. It ties a vector index to its store.
CREATE TABLE memory_store (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    mark BLOB NOT NULL
) STRICT;
INSERT INTO memory_store VALUES (1, randomblob(16));

-- Knowledge documents, such as files and pages. `content_hash` covers all passages; `title` is for display.
CREATE TABLE memory_documents (
    no           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT    NOT NULL,
    uri          TEXT    NOT NULL,
    title        TEXT,
    content_hash BLOB    NOT NULL,
    added_ms     INTEGER NOT NULL,
    UNIQUE (tenant, uri)
) STRICT;

-- `changed` is the tick of the last change other than of the text. `blob` is the attachment, an image or a sound.
ALTER TABLE memories ADD COLUMN valid_from_ms INTEGER;
ALTER TABLE memories ADD COLUMN superseded_by BLOB;
ALTER TABLE memories ADD COLUMN changed INTEGER;
ALTER TABLE memories ADD COLUMN document INTEGER REFERENCES memory_documents (no);
ALTER TABLE memories ADD COLUMN position INTEGER;
ALTER TABLE memories ADD COLUMN blob BLOB;
ALTER TABLE memories ADD COLUMN media_type TEXT;
UPDATE memories SET changed = closed;
DROP INDEX memories_by_closed;
CREATE INDEX memories_by_changed ON memories (changed) WHERE changed IS NOT NULL;
CREATE INDEX memories_by_document ON memories (document) WHERE document IS NOT NULL;
CREATE INDEX memories_by_content ON memories (content_hash);

-- Log records whose payload was deleted together with a memory. They keep sequence number and hash.
CREATE TABLE forgotten_records (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
-- Blobs whose content was deleted together with a memory.
CREATE TABLE forgotten_blobs (
    id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Consolidations that were applied, by the log records that hold them.
CREATE TABLE memory_consolidations (
    tenant TEXT    NOT NULL,
    run    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (tenant, run, seq)
) STRICT, WITHOUT ROWID;
