-- The phone's database, version 1. Additive migrations follow in files of
-- their own; a released file is never edited.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- A finding or a whistle. At rest it is its envelopes; the rows further down
-- are a projection of them.
CREATE TABLE record (
    id     INTEGER NOT NULL PRIMARY KEY,
    record BLOB NOT NULL UNIQUE,    -- 16 bytes
    kind   INTEGER NOT NULL,        -- 1 finding, 2 whistle
    heads  BLOB NOT NULL            -- of the document, 32 bytes each, sorted
) STRICT;

CREATE TABLE envelope (
    id             INTEGER NOT NULL PRIMARY KEY, -- order of arrival on this phone
    hash           BLOB NOT NULL UNIQUE,         -- 32 bytes
    record         INTEGER NOT NULL REFERENCES record (id),
    standing       INTEGER NOT NULL,             -- 0 pending .. 5 refused, see wire::Standing
    own            INTEGER NOT NULL,             -- 1 signed on this phone, 2 on its owner's other phone, 0 by somebody else
    bytes          BLOB NOT NULL,
    received_at_ms INTEGER,                      -- by the server; NULL while pending
    seen           BLOB,                         -- accepted part of `seen`, where it differs
    reason         TEXT                          -- code, for everything but acceptance
) STRICT;
CREATE INDEX envelope_of_record ON envelope (record);
-- What its author has to hear about: everything of one's own that is not
-- plainly accepted.
CREATE INDEX envelope_in_trouble ON envelope (standing) WHERE own > 0 AND standing > 1;

-- What no verdict has named yet, oldest first.
CREATE TABLE outbox (
    envelope INTEGER NOT NULL PRIMARY KEY REFERENCES envelope (id)
) STRICT;

-- What was not accepted and has been done again.
CREATE TABLE redone (
    envelope INTEGER NOT NULL PRIMARY KEY REFERENCES envelope (id),
    by_hash  BLOB NOT NULL          -- of the action that took its place
) STRICT;

-- When the files were set aside and the phone started over.
CREATE TABLE incident (
    id          INTEGER NOT NULL PRIMARY KEY,
    at_ms       INTEGER NOT NULL,   -- wall clock
    why         TEXT NOT NULL,      -- damaged, restored
    aside       TEXT NOT NULL,      -- folder of the old files
    same_device INTEGER NOT NULL,   -- 0: it had to enrol again
    queued      INTEGER NOT NULL,   -- own actions in the outbox again
    salvaged    INTEGER NOT NULL,   -- own actions in `salvaged`
    lost        INTEGER NOT NULL    -- own actions of which only the name is left
) STRICT;

-- Own actions of a device that this phone is not any more, until their owner
-- has done them again.
CREATE TABLE salvaged (
    id      INTEGER NOT NULL PRIMARY KEY,
    hash    BLOB NOT NULL UNIQUE,   -- 32 bytes
    record  BLOB NOT NULL,          -- 16 bytes
    bytes   BLOB,                   -- NULL: only the name is left
    settled INTEGER NOT NULL DEFAULT 0 -- 1: done again, or seen by its owner
) STRICT;

CREATE TABLE finding (
    record         INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    own_stage      TEXT NOT NULL,
    stage          TEXT NOT NULL,   -- own_stage moved on by the whistles
    number         TEXT NOT NULL,
    category       TEXT NOT NULL,
    title          TEXT NOT NULL,
    grid           TEXT NOT NULL,
    position       TEXT NOT NULL,
    severity       INTEGER NOT NULL,
    reporter       TEXT NOT NULL,
    reported_at_ms INTEGER NOT NULL,
    reopened_at_ms INTEGER NOT NULL, -- 0: never
    touched_at_ms  INTEGER NOT NULL,
    merged_into    BLOB,             -- 16 bytes: the finding that stays
    conflicts      INTEGER NOT NULL,
    traces         INTEGER NOT NULL
) STRICT;
CREATE INDEX finding_by_stage ON finding (stage, reported_at_ms);
CREATE INDEX finding_by_time ON finding (reported_at_ms);

CREATE TABLE whistle (
    record        INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    stage         TEXT NOT NULL,
    level         INTEGER NOT NULL, -- 1 community, 2 street, 0 not known yet
    platform      INTEGER NOT NULL,
    area          TEXT NOT NULL,
    title         TEXT NOT NULL,
    blower        TEXT NOT NULL,
    issued_at_ms  INTEGER NOT NULL,
    due_at_ms     INTEGER NOT NULL, -- extensions and pauses counted
    paused_until_ms INTEGER NOT NULL, -- end of the newest pause; 0: none
    open_requests INTEGER NOT NULL,
    touched_at_ms INTEGER NOT NULL,
    parent        BLOB,
    traces        INTEGER NOT NULL
) STRICT;
CREATE INDEX whistle_by_stage ON whistle (stage, issued_at_ms);

CREATE TABLE target (
    whistle   INTEGER NOT NULL REFERENCES record (id),
    party     TEXT NOT NULL,
    stage     TEXT NOT NULL,
    lead      INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    PRIMARY KEY (whistle, party)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_by_party ON target (party);

CREATE TABLE whistle_finding (
    finding BLOB NOT NULL,          -- 16 bytes; the finding may not be here yet
    whistle INTEGER NOT NULL REFERENCES record (id),
    PRIMARY KEY (finding, whistle)
) STRICT, WITHOUT ROWID;

-- Personal data beside findings. A row that goes takes its key with it: deleted
-- content is overwritten (secure_delete).
CREATE TABLE private (
    item       BLOB NOT NULL PRIMARY KEY, -- 32 bytes, SHA-256 of the ciphertext
    record     BLOB NOT NULL,             -- 16 bytes; the finding may not be here yet
    ciphertext BLOB NOT NULL,
    key        BLOB NOT NULL,             -- 32 bytes
    unsent     INTEGER NOT NULL           -- 1: the server has not confirmed it
) STRICT, WITHOUT ROWID;
CREATE INDEX private_unsent ON private (unsent) WHERE unsent = 1;
CREATE INDEX private_of_record ON private (record);

-- Two-character Chinese words need bigrams, which the caller makes; rowid is
-- record.id.
CREATE VIRTUAL TABLE search USING fts5 (
    grams, content = '', contentless_delete = 1, detail = 'none'
);
