-- One page of held claims in order of fingerprint, as one row of JSON (see lookup.sql).
SELECT json_group_array(:record)
FROM (
    SELECT *
    FROM all_claims
    WHERE fingerprint > :after AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY fingerprint
    LIMIT :limit
)
