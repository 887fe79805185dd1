-- Frees one claim that is not in flight. Only its owner can free a claim in flight.
DELETE FROM claims
WHERE fingerprint = :fingerprint
RETURNING fingerprint
