-- The first :limit held claims with a link in order of fingerprint, as one row of JSON (see lookup.sql).
SELECT json_group_array(:record)
FROM (
    SELECT *
    FROM (
        SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource, caller, payload,
               version, link
        FROM claims INDEXED BY claims_by_link
        WHERE link = :link AND expires_at > :now
        ORDER BY fingerprint
        LIMIT :limit
    )
    UNION ALL
    SELECT *
    FROM (
        SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload, version, link
        FROM in_flight
        WHERE link = :link
        ORDER BY fingerprint
        LIMIT :limit
    )
    ORDER BY fingerprint
    LIMIT :limit
)
