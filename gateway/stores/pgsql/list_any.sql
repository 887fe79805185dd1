-- The claims between two fingerprints that are held, and as they are wanted.
SELECT :schema.stored(c)
FROM :schema.claims AS c
WHERE c.fingerprint > %(after)s AND c.fingerprint <= %(last)s AND (c.state = 1 OR c.expires_at > %(now)s)
    AND c.first_seen < %(before)s
    AND (%(state)s::smallint IS NULL OR c.state = %(state)s)
    AND (%(rule)s::bytea IS NULL OR c.rule = %(rule)s)
    AND (%(entry)s::bytea IS NULL OR c.entry = %(entry)s)
ORDER BY c.fingerprint
LIMIT %(most)s
