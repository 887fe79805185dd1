-- One step of a list in order of fingerprint: of the next :rows claims those that are held and wanted, at most :limit, as
-- JSON, and the last fingerprint looked at; NULL when fewer are left. The view all_claims would have to be sorted.
WITH looked_at AS MATERIALIZED (
    SELECT (
        SELECT fingerprint
        FROM (
            SELECT fingerprint FROM claims WHERE fingerprint > :after
            UNION ALL
            SELECT fingerprint FROM in_flight WHERE fingerprint > :after
            ORDER BY fingerprint
            LIMIT 1 OFFSET :rows - 1
        )
    ) AS last
)
SELECT
    (
        SELECT json_group_array(:record)
        FROM (
            SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource, caller, payload,
                   version, link
            FROM claims
            WHERE fingerprint > :after AND fingerprint <= (SELECT coalesce(last, :end) FROM looked_at)
                AND expires_at > :now AND first_seen < :before AND (:state IS NULL OR state = :state)
                AND (:rule IS NULL OR rule = :rule) AND (:entry IS NULL OR entry = :entry)
            UNION ALL
            SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload, version, link
            FROM in_flight
            WHERE fingerprint > :after AND fingerprint <= (SELECT coalesce(last, :end) FROM looked_at)
                AND first_seen < :before AND (:state IS NULL OR :state = 1)
                AND (:rule IS NULL OR rule = :rule) AND (:entry IS NULL OR entry = :entry)
            ORDER BY fingerprint
            LIMIT :limit
        )
    ),
    (SELECT last FROM looked_at)
