-- The last record of an imported run that was written elsewhere. Of a run imported before, no record is known to be this home's.
ALTER TABLE imported_runs ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
UPDATE imported_runs SET last = coalesce((SELECT max(seq) FROM records WHERE records.run = imported_runs.run), 0);
