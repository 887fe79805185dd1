-- The oldest claims in flight after one of them, each with what is stored. As few are in flight as creates are at work.
SELECT c.first_seen, c.fingerprint, :schema.stored(c)
FROM :schema.claims AS c
WHERE c.state = 1 AND c.first_seen < %(before)s AND (c.first_seen, c.fingerprint) > (%(age)s, %(after)s)
    AND (%(rule)s::bytea IS NULL OR c.rule = %(rule)s)
ORDER BY c.first_seen, c.fingerprint
LIMIT %(most)s
