-- The server's database, version 1. Additive migrations follow in files of
-- their own; a released file is never edited.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket (
    hash       BLOB NOT NULL PRIMARY KEY,   -- SHA-256 of the ticket
    person     TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device       BLOB NOT NULL PRIMARY KEY, -- 16 bytes
    person       TEXT NOT NULL,
    key          BLOB NOT NULL,             -- Ed25519 public key
    token_hash   BLOB UNIQUE,               -- SHA-256 of the session token; NULL for the server itself
    app          TEXT NOT NULL,
    enrolled_ms  INTEGER NOT NULL,
    last_sync_ms INTEGER,
    checked_ms   INTEGER                    -- when its digest was last compared
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    id     INTEGER NOT NULL PRIMARY KEY,
    record BLOB NOT NULL UNIQUE,            -- 16 bytes
    kind   INTEGER NOT NULL,                -- 1 finding, 2 whistle
    heads  BLOB NOT NULL
) STRICT;

CREATE TABLE envelope (
    id             INTEGER NOT NULL PRIMARY KEY,
    hash           BLOB NOT NULL UNIQUE,
    record         INTEGER NOT NULL REFERENCES record (id),
    device         BLOB NOT NULL,
    dev_seq        INTEGER NOT NULL,
    standing       INTEGER NOT NULL,        -- see wire::Standing
    bytes          BLOB NOT NULL,
    received_at_ms INTEGER NOT NULL,
    seen           BLOB,                    -- accepted part of `seen`, where it differs
    reason         TEXT
) STRICT;
CREATE INDEX envelope_of_record ON envelope (record);
CREATE INDEX envelope_of_device ON envelope (device, dev_seq);

-- An envelope that builds on one that has not arrived.
CREATE TABLE waiting (
    missing  BLOB NOT NULL,
    envelope INTEGER NOT NULL REFERENCES envelope (id),
    PRIMARY KEY (missing, envelope)
) STRICT, WITHOUT ROWID;

-- The feed and the chain in one: a gap-free position, in commit order, for
-- every verdict that was given, changed or published further, and for every
-- act of `audit`.
CREATE TABLE feed (
    position INTEGER NOT NULL PRIMARY KEY,
    envelope INTEGER REFERENCES envelope (id), -- NULL: an act
    standing INTEGER,                          -- the verdict as given here
    reason   TEXT,
    head     BLOB NOT NULL                     -- hash over everything up to here
) STRICT;
-- The newest head that the server stands for.
CREATE TABLE signed_head (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position  INTEGER NOT NULL REFERENCES feed (position),
    signature BLOB NOT NULL
) STRICT;
CREATE TABLE audience_key (
    id   INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE feed_key (
    key      INTEGER NOT NULL REFERENCES audience_key (id),
    position INTEGER NOT NULL REFERENCES feed (position),
    PRIMARY KEY (key, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE audience (
    record INTEGER NOT NULL REFERENCES record (id),
    key    INTEGER NOT NULL REFERENCES audience_key (id),
    PRIMARY KEY (record, key)
) STRICT, WITHOUT ROWID;

-- When an open whistle has to be looked at although nothing happens.
CREATE TABLE timer (
    whistle   INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    due_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX timer_by_time ON timer (due_at_ms);
-- Each escalation happens once: whoever inserts the row performs it.
CREATE TABLE escalation (
    whistle BLOB NOT NULL,
    level   INTEGER NOT NULL,
    round   INTEGER NOT NULL,
    into_id BLOB NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (whistle, level, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE number_counter (
    prefix TEXT NOT NULL PRIMARY KEY,       -- category and date
    last   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- After a restore: records from which something may follow once the wait for
-- phones is over.
CREATE TABLE held (
    record INTEGER NOT NULL PRIMARY KEY REFERENCES record (id)
) STRICT;

-- Read model.
CREATE TABLE finding (
    record         INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    own_stage      TEXT NOT NULL,
    number         TEXT NOT NULL,
    category       TEXT NOT NULL,
    title          TEXT NOT NULL,
    grid           TEXT NOT NULL,
    severity       INTEGER NOT NULL,
    reporter       TEXT NOT NULL,
    reported_at_ms INTEGER NOT NULL,
    conflicts      INTEGER NOT NULL,
    traces         INTEGER NOT NULL
) STRICT;
CREATE TABLE whistle (
    record       INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    stage        TEXT NOT NULL,
    level        INTEGER NOT NULL,
    platform     INTEGER NOT NULL,
    area         TEXT NOT NULL,
    title        TEXT NOT NULL,
    blower       TEXT NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    due_at_ms    INTEGER NOT NULL,
    parent       BLOB,
    traces       INTEGER NOT NULL
) STRICT;
CREATE TABLE target (
    whistle   INTEGER NOT NULL REFERENCES record (id),
    party     TEXT NOT NULL,
    stage     TEXT NOT NULL,
    lead      INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    PRIMARY KEY (whistle, party)
) STRICT, WITHOUT ROWID;
CREATE TABLE whistle_finding (
    finding BLOB NOT NULL,
    whistle INTEGER NOT NULL REFERENCES record (id),
    PRIMARY KEY (finding, whistle)
) STRICT, WITHOUT ROWID;

-- What administrators and the server did, for people to read.
CREATE TABLE audit (
    position INTEGER NOT NULL PRIMARY KEY REFERENCES feed (position),
    at_ms    INTEGER NOT NULL,
    what     TEXT NOT NULL,
    who      TEXT NOT NULL,
    about    TEXT NOT NULL,
    content  BLOB                           -- SHA-256 of what it put in place
) STRICT;
CREATE INDEX audit_restores ON audit (position) WHERE what = 'restore';
