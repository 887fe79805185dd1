-- One step of a list of claims of unknown outcome, the oldest first: of the next :rows after a position those that are held
-- and wanted, at most :limit, as JSON, and the position of the last one looked at; NULL when fewer are left.
WITH looked_at AS MATERIALIZED (
    SELECT *
    FROM claims INDEXED BY unknown_by_age
    WHERE state = 3 AND (first_seen, fingerprint) > (:first_seen, :fingerprint) AND first_seen < :before
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
