-- Free one claim that is not in flight. A claim in flight belongs to its owner alone.
UPDATE claims SET state = 0, expires_at = 0, resource = NULL
WHERE fingerprint = :fingerprint AND state IN (2, 3)
RETURNING fingerprint
