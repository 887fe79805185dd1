-- One purge step: the first expired rows between two positions of the walk.
DELETE FROM claims
WHERE fingerprint IN (
    SELECT fingerprint
    FROM claims
    WHERE fingerprint > :after AND fingerprint <= :last AND expires_at <= :now
    ORDER BY fingerprint
    LIMIT :limit
)
RETURNING fingerprint, state
