-- Held claims in order of fingerprint, a page at a time.
SELECT fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource
FROM claims
WHERE fingerprint > :after AND (expires_at IS NULL OR expires_at > :now) AND state <> 0
ORDER BY fingerprint
LIMIT :limit
