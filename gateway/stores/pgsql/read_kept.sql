-- The answers stored with claims, each while its owner holds it.
SELECT c.fingerprint, c.answer
FROM unnest(%(fingerprints)s::bytea[], %(owners)s::bytea[]) AS u (fingerprint, owner)
JOIN :schema.claims AS c ON c.fingerprint = u.fingerprint AND c.owner = u.owner
WHERE c.answer IS NOT NULL
