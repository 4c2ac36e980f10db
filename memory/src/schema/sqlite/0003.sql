-- The index of words holds one spelling of each text: compatibility forms, composed characters, no invisible ones.
-- `folded` is that spelling where it differs from `text`; `folding` is the version of the rules that all rows follow.
ALTER TABLE memories ADD COLUMN folded TEXT;
ALTER TABLE memory_store ADD COLUMN folding INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER memory_words_insert;
DROP TRIGGER memory_words_delete;
DROP TABLE memory_words;
CREATE VIEW memory_folded AS SELECT no, coalesce(folded, text) AS text FROM memories;
CREATE VIRTUAL TABLE memory_words USING fts5 (text, content = 'memory_folded', content_rowid = 'no');
INSERT INTO memory_words (memory_words, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER memory_words_insert AFTER INSERT ON memories BEGIN
    INSERT INTO memory_words (rowid, text) VALUES (new.no, coalesce(new.folded, new.text));
END;
CREATE TRIGGER memory_words_delete AFTER DELETE ON memories BEGIN
    INSERT INTO memory_words (memory_words, rowid, text) VALUES ('delete', old.no, coalesce(old.folded, old.text));
END;
