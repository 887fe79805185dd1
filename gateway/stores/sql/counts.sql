-- Settled claims by rule and state, and when the oldest unknown one of each rule that is still held was first seen. Of a
-- rule's first :rows unknown ones only: where all of these have expired, the last one looked at.
SELECT rule, state, claims,
    CASE WHEN state = 3 THEN (
        SELECT coalesce(min(iif(expires_at > :now, first_seen, NULL)), iif(count(*) = :rows, max(first_seen), NULL))
        FROM (
            SELECT first_seen, expires_at
            FROM claims INDEXED BY unknown_by_rule
            WHERE claims.state = 3 AND claims.rule = counts.rule
            ORDER BY first_seen, fingerprint
            LIMIT :rows
        )
    ) END
FROM counts
WHERE claims > 0
