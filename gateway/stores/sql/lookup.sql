-- What is stored under any of these fingerprints, free rows aside, as one row of JSON: Python takes its lock anew for
-- every row it steps to, and on a busy loop each time costs more than the row. Decides nothing: the caller judges.
SELECT json_group_array(json_array(
    lower(hex(fingerprint)), lower(hex(owner)), state, rule, entry, first_seen, expires_at, unknown_hold, resource
))
FROM claims
WHERE state <> 0 AND fingerprint IN (:places)
