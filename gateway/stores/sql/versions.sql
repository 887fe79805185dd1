-- One step of a count in order of fingerprint: of the next :rows claims, and of those in flight between them, how many are
-- held by rule, entry and identity version, the last expiry of each, and the last fingerprint looked at; NULL when fewer
-- are left. A row in any case, with a count of 0 where none is held.
WITH looked_at AS MATERIALIZED (
    SELECT (SELECT fingerprint FROM claims WHERE fingerprint > :after ORDER BY fingerprint LIMIT 1 OFFSET :rows - 1) AS last
)
SELECT rule, entry, version, sum(held), max(expires_at), (SELECT last FROM looked_at)
FROM (
    SELECT rule, entry, version, expires_at, 1 AS held
    FROM claims
    WHERE fingerprint > :after AND fingerprint <= (SELECT coalesce(last, :end) FROM looked_at) AND expires_at > :now
    UNION ALL
    SELECT rule, entry, version, NULL, 1
    FROM in_flight
    WHERE fingerprint > :after AND fingerprint <= (SELECT coalesce(last, :end) FROM looked_at)
    UNION ALL
    SELECT '', '', NULL, NULL, 0
)
GROUP BY rule, entry, version
