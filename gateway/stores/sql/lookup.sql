-- The records of the given fingerprints, as one row of JSON: Python acquires the GIL again for every row, which on a busy
-- event loop costs more than the row itself. The caller checks the expiry.
SELECT json_group_array(:record)
FROM all_claims
WHERE fingerprint IN (:places)
