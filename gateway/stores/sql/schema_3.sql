-- Schema version 3: claims in flight have a table of their own. A create then writes one row to the large table, when it
-- is settled, and none of its indexes is modified twice. Rows of the other table are few, and deleted soon.

CREATE TABLE in_flight (
    fingerprint  BLOB    NOT NULL PRIMARY KEY,
    owner        BLOB    NOT NULL,
    rule         TEXT    NOT NULL,
    entry        TEXT    NOT NULL,
    first_seen   INTEGER NOT NULL,
    unknown_hold INTEGER NOT NULL,
    caller       BLOB,
    payload      BLOB
) WITHOUT ROWID;

INSERT INTO in_flight
SELECT fingerprint, owner, rule, entry, first_seen, unknown_hold, caller, payload
FROM claims
WHERE expires_at IS NULL;

DELETE FROM claims WHERE expires_at IS NULL OR expires_at = 0;  -- in flight, or freed and not yet purged

DROP INDEX claims_by_expiry;  -- the purge walks the table
