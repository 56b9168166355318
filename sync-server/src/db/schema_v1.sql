-- The server's database, version 1. Additive migrations follow in files of
-- their own; a released file is never edited.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Every edition of the directory, as it was signed; the newest is in force.
CREATE TABLE edition (
    version      INTEGER NOT NULL PRIMARY KEY,
    signed_at_ms INTEGER NOT NULL,
    signature    BLOB NOT NULL,             -- Ed25519, see sync::edition
    pack         BLOB NOT NULL,             -- JSON
    who          TEXT NOT NULL,             -- the administrator
    what         TEXT NOT NULL              -- in words, for people to choose by
) STRICT;

-- Changes of the server's key, oldest first.
CREATE TABLE key_change (
    version INTEGER NOT NULL PRIMARY KEY REFERENCES edition (version),
    old     BLOB NOT NULL,                  -- Ed25519 public keys
    new     BLOB NOT NULL,
    by_old  BLOB NOT NULL,                  -- Ed25519 signatures
    by_new  BLOB NOT NULL
) STRICT;

-- An enrolment, from the ticket that opens it to the phone that comes of it.
CREATE TABLE enrolment (
    selector     TEXT NOT NULL PRIMARY KEY, -- the first characters of the ticket
    person       TEXT NOT NULL,
    typed_hash   BLOB NOT NULL,             -- SHA-256 of the secret that is typed
    scanned_hash BLOB NOT NULL,             -- SHA-256 of the secret in the QR code
    tries_left   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    stage        INTEGER NOT NULL,          -- 1 opened, 2 handed in, 3 revealed, 4 confirmed, 5 declined
    device       BLOB UNIQUE,               -- what the phone said, from stage 2
    key          BLOB,
    app          TEXT,
    commitment   BLOB,
    server_nonce BLOB,
    check_code   TEXT                       -- six digits, from stage 3
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device           BLOB NOT NULL PRIMARY KEY, -- 16 bytes
    person           TEXT NOT NULL,
    key              BLOB NOT NULL,         -- Ed25519 public key
    token_hash       BLOB UNIQUE,           -- SHA-256 of the session token; NULL without a session
    token_expires_ms INTEGER NOT NULL,
    app              TEXT NOT NULL,
    enrolled_ms      INTEGER NOT NULL,
    state            INTEGER NOT NULL,      -- 1 active, 2 suspended, 3 revoked
    last_sync_ms     INTEGER,
    backlog          INTEGER NOT NULL,      -- envelopes that it said it still had
    checked_ms       INTEGER                -- when its digest was last compared
) STRICT, WITHOUT ROWID;

-- Chain numbers that a device must have used and that have not arrived.
CREATE TABLE gap (
    device   BLOB NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq   INTEGER NOT NULL,              -- inclusive
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (device, from_seq)
) STRICT, WITHOUT ROWID;

-- Signs that two phones share one identity.
CREATE TABLE clone_sign (
    device  BLOB NOT NULL,
    dev_seq INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    sign    INTEGER NOT NULL,               -- 1 number used twice, 2 another predecessor
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (device, dev_seq, hash)
) STRICT, WITHOUT ROWID;

-- Audience keys by their digest: what a phone that names the digest had.
CREATE TABLE audience_set (
    digest BLOB NOT NULL PRIMARY KEY,       -- SHA-256 of `keys`
    keys   TEXT NOT NULL                    -- one a line
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
CREATE INDEX envelope_of_day ON envelope (device, received_at_ms);  -- for the daily limits

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

-- What happens next to an open whistle if nobody does anything.
CREATE TABLE timer (
    whistle    INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    level      INTEGER NOT NULL,            -- that takes over: 2 street, 3 district
    generation INTEGER NOT NULL,            -- actions that the whistle had; an older timer fires nothing
    due_at_ms  INTEGER NOT NULL             -- first moment at which it fires
) STRICT;
CREATE INDEX timer_by_time ON timer (due_at_ms, whistle);
-- Each escalation happens once: whoever inserts the row performs it.
CREATE TABLE escalation (
    whistle BLOB NOT NULL,
    level   INTEGER NOT NULL,
    round   INTEGER NOT NULL,
    into_id BLOB NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (whistle, level, round)
) STRICT, WITHOUT ROWID;

-- Each mark for the district, likewise.
CREATE TABLE mark (
    whistle BLOB NOT NULL,
    round   INTEGER NOT NULL,
    cause   TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (whistle, round)
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
    position       TEXT NOT NULL,
    severity       INTEGER NOT NULL,
    reporter       TEXT NOT NULL,
    reported_at_ms INTEGER NOT NULL,
    reopened_at_ms INTEGER NOT NULL,        -- 0: never
    merged_into    BLOB,                    -- the finding that stays
    conflicts      INTEGER NOT NULL,
    traces         INTEGER NOT NULL
) STRICT;
CREATE INDEX finding_by_merge ON finding (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX finding_by_category ON finding (category, reported_at_ms);
CREATE TABLE whistle (
    record       INTEGER NOT NULL PRIMARY KEY REFERENCES record (id),
    stage        TEXT NOT NULL,
    level        INTEGER NOT NULL,
    platform     INTEGER NOT NULL,
    area         TEXT NOT NULL,
    title        TEXT NOT NULL,
    blower       TEXT NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    due_at_ms    INTEGER NOT NULL,          -- extensions and pauses counted
    paused_until_ms INTEGER NOT NULL,       -- end of the newest pause; 0: none
    open_requests INTEGER NOT NULL,
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

-- Personal data beside findings. The rows of an erased item are deleted, and
-- deleted content is overwritten (secure_delete).
CREATE TABLE private (
    item           BLOB NOT NULL PRIMARY KEY, -- SHA-256 of the ciphertext
    record         BLOB NOT NULL,
    ciphertext     BLOB NOT NULL,
    key            BLOB NOT NULL,
    device         BLOB NOT NULL,             -- who brought it
    received_at_ms INTEGER NOT NULL,
    claimed        INTEGER NOT NULL           -- 1: an accepted action cites it
) STRICT, WITHOUT ROWID;
CREATE INDEX private_of_record ON private (record);
CREATE INDEX private_unclaimed ON private (device) WHERE claimed = 0;
-- For whom; a position is never used twice.
CREATE TABLE private_feed (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    item     BLOB NOT NULL REFERENCES private (item),
    key      INTEGER NOT NULL REFERENCES audience_key (id),
    UNIQUE (item, key)
) STRICT;
CREATE INDEX private_feed_by_key ON private_feed (key, position);

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

-- Evidence, a row for each record that a piece is attached to. The bytes are
-- elsewhere: see `evidence`.
CREATE TABLE evidence (
    id             INTEGER NOT NULL PRIMARY KEY,
    record         INTEGER NOT NULL REFERENCES record (id),
    sealed         BLOB NOT NULL,             -- SHA-256 of the ciphertext
    piece          BLOB NOT NULL,             -- SHA-256 of the bytes, as signed
    size           INTEGER NOT NULL,          -- bytes before sealing, as signed
    media          TEXT NOT NULL,
    shows          TEXT NOT NULL,
    person         TEXT NOT NULL,             -- who attached it
    attached_at_ms INTEGER NOT NULL,          -- when that action came
    key            BLOB,                      -- NULL before it comes and after it is destroyed
    arrived_at_ms  INTEGER,                   -- all of it is here, and its hashes are right
    device         BLOB,                      -- that brought it
    thumbnail      INTEGER NOT NULL,          -- 0 none, 1 kept, 2 none can be made
    seen           INTEGER NOT NULL,          -- delivered to another device
    shared         INTEGER NOT NULL,          -- an accepted action attaches it
    erased         INTEGER NOT NULL,
    UNIQUE (record, sealed)
) STRICT;
CREATE INDEX evidence_by_name ON evidence (sealed);
CREATE INDEX evidence_of_day ON evidence (device, arrived_at_ms);
-- Changes of those rows, each at its newest position; none is used twice.
CREATE TABLE evidence_news (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    evidence INTEGER NOT NULL UNIQUE REFERENCES evidence (id)
) STRICT;
-- Uploads that are not finished; their bytes are files, the offset is a length.
CREATE TABLE upload (
    device     BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    length     INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (device, sealed)
) STRICT, WITHOUT ROWID;
-- Erased pieces whose bytes are still to be removed.
CREATE TABLE evidence_trash (
    sealed BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
