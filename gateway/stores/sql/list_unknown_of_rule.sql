-- As list_unknown.sql, those of one rule.
SELECT json_group_array(:record)
FROM (
    SELECT *
    FROM claims INDEXED BY unknown_by_rule
    WHERE state = 3 AND rule = :rule
        AND (first_seen, fingerprint) > (:first_seen, :fingerprint) AND first_seen < :before
    ORDER BY first_seen, fingerprint
    LIMIT :rows
)
