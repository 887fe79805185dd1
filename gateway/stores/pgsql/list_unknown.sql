-- The oldest claims of unknown outcome after one of them, of one rule or of all: each with what is stored.
WITH RECURSIVE rules AS (
    (SELECT rule FROM :schema.unknown_claims ORDER BY rule LIMIT 1)
    UNION ALL
    SELECT n.rule
    FROM rules AS r
    CROSS JOIN LATERAL (SELECT rule FROM :schema.unknown_claims WHERE rule > r.rule ORDER BY rule LIMIT 1) AS n
), due AS MATERIALIZED (
    SELECT u.first_seen, u.fingerprint
    FROM rules AS r
    CROSS JOIN LATERAL (
        SELECT first_seen, fingerprint
        FROM :schema.unknown_claims
        WHERE rule = r.rule AND first_seen < %(before)s AND (first_seen, fingerprint) > (%(age)s, %(after)s)
        ORDER BY first_seen, fingerprint
        LIMIT %(most)s
    ) AS u
    WHERE %(rule)s::bytea IS NULL OR r.rule = %(rule)s
    ORDER BY u.first_seen, u.fingerprint
    LIMIT %(most)s
)
SELECT due.first_seen, due.fingerprint, CASE WHEN c.fingerprint IS NOT NULL THEN :schema.stored(c) END
FROM due
LEFT JOIN :schema.claims AS c ON c.fingerprint = due.fingerprint
ORDER BY due.first_seen, due.fingerprint
