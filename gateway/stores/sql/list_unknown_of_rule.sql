-- As list_unknown.sql, of one rule.
WITH looked_at AS MATERIALIZED (
    SELECT *
    FROM claims INDEXED BY unknown_by_rule
    WHERE state = 3 AND rule = :rule AND (first_seen, fingerprint) > (:first_seen, :fingerprint) AND first_seen < :before
    ORDER BY first_seen, fingerprint
    LIMIT :rows
)
SELECT
    (
        SELECT json_group_array(:record)
        FROM (
            SELECT *
            FROM looked_at
            WHERE expires_at > :now AND (:entry IS NULL OR entry = :entry)
            ORDER BY first_seen, fingerprint
            LIMIT :limit
        )
    ),
    (SELECT first_seen FROM looked_at ORDER BY first_seen, fingerprint LIMIT 1 OFFSET :rows - 1),
    (SELECT fingerprint FROM looked_at ORDER BY first_seen, fingerprint LIMIT 1 OFFSET :rows - 1)
