-- Version 2: evidence.

-- Pieces of evidence on this phone's records; what they are say the actions. A
-- row that goes takes its key with it, and the files of its name are swept.
CREATE TABLE evidence (
    sealed           BLOB NOT NULL PRIMARY KEY, -- 32 bytes, SHA-256 of the ciphertext
    record           BLOB NOT NULL,             -- 16 bytes; it may not be here yet
    key              BLOB,                      -- 32 bytes; NULL until it has come
    own              INTEGER NOT NULL,          -- 1: sealed on this phone
    photo            INTEGER NOT NULL,          -- 1: own, and a photo
    key_unsent       INTEGER NOT NULL,          -- 1: the server has not confirmed the key
    thumbnail_unsent INTEGER NOT NULL,          -- 1: nor the thumbnail
    arrived_at_ms    INTEGER,                   -- the server had all of it; NULL before
    seen             INTEGER NOT NULL           -- 1: it was delivered to another phone
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_of_record ON evidence (record);
-- What nobody but this phone has.
CREATE INDEX evidence_to_send ON evidence (sealed) WHERE own = 1 AND arrived_at_ms IS NULL;
