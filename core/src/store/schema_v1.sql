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
    own            INTEGER NOT NULL,             -- 1: signed on this phone
    bytes          BLOB NOT NULL,
    received_at_ms INTEGER,                      -- by the server; NULL while pending
    seen           BLOB,                         -- accepted part of `seen`, where it differs
    reason         TEXT,                         -- code, for everything but acceptance
    tag            BLOB                          -- the server's authentication of its receipt
) STRICT;
CREATE INDEX envelope_of_record ON envelope (record);
-- What its author has to hear about: everything of one's own that is not
-- plainly accepted.
CREATE INDEX envelope_in_trouble ON envelope (standing) WHERE own = 1 AND standing > 1;

-- What no verdict has named yet, oldest first.
CREATE TABLE outbox (
    envelope INTEGER NOT NULL PRIMARY KEY REFERENCES envelope (id)
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
    due_at_ms     INTEGER NOT NULL,
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

-- Two-character Chinese words need bigrams, which the caller makes; rowid is
-- record.id.
CREATE VIRTUAL TABLE search USING fts5 (
    grams, content = '', contentless_delete = 1, detail = 'none'
);
