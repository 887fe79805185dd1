-- One purge step: the first expired rows between two positions of the walk, without those that somebody is changing.
DELETE FROM :schema.claims
WHERE fingerprint IN (
    SELECT fingerprint
    FROM :schema.claims
    WHERE fingerprint > %(after)s AND fingerprint <= %(last)s AND expires_at <= %(now)s AND state <> 1
    ORDER BY fingerprint
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING fingerprint, state
