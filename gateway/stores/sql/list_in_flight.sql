-- One step of a list of claims in flight: of the next :rows, in order of fingerprint, those that are wanted, the :limit
-- oldest of them, as JSON, and the last fingerprint looked at; NULL when fewer are left.
WITH looked_at AS MATERIALIZED (
    SELECT fingerprint, owner, 1 AS state, rule, entry, first_seen, NULL AS expires_at, unknown_hold, NULL AS resource,
           caller, payload, version, link
    FROM in_flight
    WHERE fingerprint > :walked
    ORDER BY fingerprint
    LIMIT :rows
)
SELECT
    (
        SELECT json_group_array(:record)
        FROM (
            SELECT *
            FROM looked_at
            WHERE (first_seen, fingerprint) > (:first_seen, :fingerprint)
                AND (:rule IS NULL OR rule = :rule)
                AND (:entry IS NULL OR entry = :entry)
                AND first_seen < :before
            ORDER BY first_seen, fingerprint
            LIMIT :limit
        )
    ),
    (SELECT iif(count(*) = :rows, max(fingerprint), NULL) FROM looked_at)
