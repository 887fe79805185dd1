-- One page of held claims in order of fingerprint, as one row of JSON (see lookup.sql). The view all_claims would have to be
-- sorted: all that lies behind :after.
SELECT json_group_array(:record)
FROM (
    SELECT *
    FROM (
        SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource, caller, payload,
               version, link
        FROM claims
        WHERE fingerprint > :after AND expires_at > :now
        ORDER BY fingerprint
        LIMIT :limit
    )
    UNION ALL
    SELECT *
    FROM (
        SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload, version, link
        FROM in_flight
        WHERE fingerprint > :after
        ORDER BY fingerprint
        LIMIT :limit
    )
    ORDER BY fingerprint
    LIMIT :limit
)
