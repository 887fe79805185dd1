-- One page of held claims in order of fingerprint, as one row of JSON (see lookup.sql).
SELECT json_group_array(json_array(
    lower(hex(fingerprint)), lower(hex(owner)), state, lower(hex(caller)), lower(hex(payload)),
    rule, entry, first_seen, expires_at, unknown_hold, resource
))
FROM (
    SELECT *
    FROM all_claims
    WHERE fingerprint > :after AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY fingerprint
    LIMIT :limit
)
