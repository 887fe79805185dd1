-- The records of the given fingerprints, as one row of JSON: Python acquires the GIL again for every row, which on a busy
-- event loop costs more than the row itself. The caller checks the expiry.
SELECT json_group_array(json_array(
    lower(hex(fingerprint)), lower(hex(owner)), state, lower(hex(caller)), lower(hex(payload)),
    rule, entry, first_seen, expires_at, unknown_hold, resource
))
FROM all_claims
WHERE fingerprint IN (:places)
