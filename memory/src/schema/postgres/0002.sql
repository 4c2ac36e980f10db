-- How far the news of a run were told, by the kind of event: those of records up to `seq` are in `outbox`, were delivered, or were
-- not wanted. A run whose news nobody wants has no row.
CREATE TABLE told (
    run   TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    seq   BIGINT NOT NULL,
    PRIMARY KEY (run, event)
);
-- Has a row while this store is the target of a copy that is not finished, with the id of the store that it is a copy of.
CREATE TABLE unfinished_copy (
    "only" INTEGER PRIMARY KEY CHECK ("only" = 1),
    source BYTEA NOT NULL
);
