-- The tables of schema version 1. Created once in a new file, before it is switched to WAL.

-- One row per claim. WITHOUT ROWID: the fingerprint is the only key, so a single B-tree suffices.
CREATE TABLE claims (
    fingerprint  BLOB    NOT NULL PRIMARY KEY,
    owner        BLOB    NOT NULL,
    state        INTEGER NOT NULL,  -- 0 free (a row not yet purged), 1 in flight, 2 created, 3 unknown
    rule         TEXT    NOT NULL,
    entry        TEXT    NOT NULL,
    first_seen   INTEGER NOT NULL,  -- milliseconds since the epoch, as all times here
    expires_at   INTEGER,           -- NULL exactly while in flight: no clock frees such a claim
    unknown_hold INTEGER NOT NULL,
    resource     TEXT
) WITHOUT ROWID;

-- Used by the purge (expired rows) and by recovery at start (rows with NULL: in flight when the process died).
CREATE INDEX claims_by_expiry ON claims (expires_at);

-- Facts about the file itself, such as the check value of its fingerprint key.
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
