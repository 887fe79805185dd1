-- One page of the claims that are held.
SELECT :schema.stored(c)
FROM :schema.claims AS c
WHERE fingerprint > %(after)s AND (state = 1 OR expires_at > %(now)s)
ORDER BY fingerprint
LIMIT %(limit)s
