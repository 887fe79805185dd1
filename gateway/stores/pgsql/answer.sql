-- The answer stored with one of several claims, while its owner holds it.
SELECT answer
FROM :schema.claims
WHERE fingerprint = ANY (%(fingerprints)s) AND owner = %(owner)s AND answer IS NOT NULL
LIMIT 1
