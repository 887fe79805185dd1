-- Frees one claim that is not in flight. Only its owner can free a claim in flight.
UPDATE claims SET state = 0, expires_at = 0, resource = NULL, caller = NULL, payload = NULL, answer = NULL
WHERE fingerprint = :fingerprint AND state IN (2, 3)
RETURNING fingerprint
